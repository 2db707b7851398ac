"""Prose in languages other than English: small grammars whose alternatives agree in case and number by themselves."""

from __future__ import annotations

from corpora.sample.grammar import Grammar
from corpora.sample.words import LISTS

_GERMAN = """
who:
  die Zentralbank | der Vorstand | ein Händler aus Hamburg | die Gewerkschaft | das Ministerium | der Aufsichtsrat
  eine Genossenschaft im Allgäu | der Bürgermeister | die Bäckerei am Marktplatz | das Krankenhaus | der Verein
does:
  erhöht | begrüßt | prüft | verschiebt | kritisiert | unterstützt | bezahlt | erwartet | verlangt | eröffnet
what:
  die neuen Gebühren | den Ausbau der Strecke | höhere Löhne | das Angebot aus Österreich | die Prüfung der Bücher
  den Umzug nach Köln | mehr Geld für Schulen | die Brücke über den Fluss | einen Bericht über Zölle
when:
  im Frühjahr | seit gestern | nach langer Beratung | noch in diesem Jahr | vor der Sommerpause | am Donnerstag
why:
  weil die Nachfrage gesunken ist | obwohl die Kosten steigen | damit die Kunden nicht länger warten müssen
  da sich die Lieferung verzögert | während andere Städte noch zögern | ohne dass ein Grund genannt wurde
sentence:
  {who} {does} {when} {what}, {why} | wie {person} sagte, {does} {who} {what}
  {who} {does} {what}, und {who} {does} {what}
  für {few_de} Familien ändert sich {when} nichts, {why} | {when} {does} {who} {what}, {why}
few_de:
  zwei | drei | vierzig | hundert | zwölf | mehrere
"""

_FRENCH = """
who:
  la banque centrale | le conseil municipal | une entreprise de Lyon | le syndicat | la ministre
  le directeur de l'usine
  un agriculteur du Gers | la bibliothèque du quartier | l'association des locataires | une équipe de chercheurs
does:
  annonce | refuse | prépare | finance | critique | accueille | retarde | soutient | examine | présente
what:
  la hausse des tarifs | un nouveau budget | les travaux du port | une exposition de photographies | le rapport
  la rénovation du marché couvert | des mesures contre la sécheresse | l'ouverture d'une école | un accord avec l'État
when:
  depuis lundi | avant la fin du mois | malgré la grève | au printemps | après trois années d'attente
why:
  parce que la demande reste faible | afin de rassurer les habitants | alors que les prix augmentent encore
  bien que les délais soient courts | puisque personne ne s'y oppose | sans que la date soit connue
sentence:
  {who} {does} {when} {what}, {why} | selon {person}, {who} {does} {what} | {when}, {who} {does} {what} et {does} {what}
  {who} {does} {what}, tandis que {who} {does} {what} | pour {person}, il faut attendre, {why}
"""

_SPANISH = """
who:
  el banco central | la alcaldesa | una cooperativa de Jaén | el sindicato | la empresa | el gobierno regional
  un grupo de vecinos | la universidad | el comité de expertos | una familia de pescadores | el dueño del taller
does:
  anuncia | rechaza | prepara | defiende | compra | aprueba | revisa | pospone | celebra | presenta
what:
  la subida de los precios | un nuevo acuerdo | las obras del puerto | el informe anual | una feria de artesanía
  la reforma del mercado | ayudas para el campo | el cierre de la fábrica | un plan contra la sequía
when:
  desde el lunes | antes de fin de mes | a pesar de la huelga | en primavera | tras años de espera | por la mañana
why:
  porque la demanda sigue débil | para tranquilizar a los clientes | aunque los plazos son cortos
  mientras los costes aumentan | sin que se conozca la fecha | ya que nadie se opone
sentence:
  {who} {does} {when} {what}, {why} | según {person}, {who} {does} {what} | {when}, {who} {does} {what} y {does} {what}
  {who} {does} {what}, y también {who} {does} {what} | para {person} conviene esperar, {why}
"""

_RUSSIAN = """
who:
  центральный банк | совет директоров | небольшая пекарня | городской музей | министерство | старый мастер
  завод на Волге
  группа учёных | директор школы | местная газета | профсоюз | молодая команда | наш сосед
does:
  обсуждает | готовит | откладывает | поддерживает | проверяет | ждёт | объявляет | показывает | изучает
what:
  новый бюджет | ремонт моста | годовой отчёт | повышение зарплаты | выставку картин | открытие рынка | план работы
  старые договоры | строительство дороги | письмо из столицы | хороший урожай
when:
  с понедельника | до конца месяца | после долгих споров | весной | в этом году | рано утром | несмотря на мороз
why:
  потому что спрос остаётся слабым | чтобы успокоить жителей | хотя сроки уже прошли | пока цены растут
  так как никто не возражает | если погода не изменится
sentence:
  {who} {does} {what} {when}, {why} | {when} {who} {does} {what} | {who} {does} {what}, а {who} {does} {what}
  как пишет {who_writes}, {who} {does} {what}, {why}
who_writes:
  газета | журнал | читатель | редактор | корреспондент
"""

_LATIN = """
word:
  lorem | ipsum | dolor | amet | consectetur | elit | tempor | labore | magna | aliqua | veniam | nostrud | laboris
  commodo | irure | velit | cillum | fugiat | nulla | pariatur | sint | culpa | officia | mollit | anim | porta | vitae
  congue | lacus | mauris | turpis | feugiat | gravida | semper | massa | pretium | auctor | sagittis | rutrum
sentence:
  {word} {word} {word}, {word} {word} {word} {word} {word} | {word} {word} {word} {word} {word} {word} {word}
  {word} {word} {word} {word}, {word} {word} {word} {word} {word}, {word} {word} {word}
"""

LANGUAGES = {
    "de": Grammar(_GERMAN, lists=LISTS),
    "es": Grammar(_SPANISH, lists=LISTS),
    "fr": Grammar(_FRENCH, lists=LISTS),
    "la": Grammar(_LATIN),
    "ru": Grammar(_RUSSIAN),
}
