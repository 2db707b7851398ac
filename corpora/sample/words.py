"""English words, names, numbers and dates for the sample. Every company and person is invented."""

from __future__ import annotations

from datetime import date
from itertools import product

_STEMS = """Alderby Amberly Ashgrove Bellwether Birchmont Blackmere Bramhall Brightwater Calderon Carrowmore Cedarline
Copperfield Corvane Dunmoor Eastlake Elmbridge Fairhaven Fennimore Glenrock Greystone Halvorsen Harrowgate Hawkridge
Ironwood Juniper Kestrel Kingsmere Larkfield Linden Marlowe Meridale Northgate Oakhurst Orchard Pemberton Pinecrest
Quillon Ravenscar Redmont Rosedale Saltmarsh Silverlake Stonebridge Tamarack Thornbury Umberland Valemont Westering
Whitcombe Wolverton Yarrow Zephyrine"""
_KINDS = """Industries|Holdings|Energy|Therapeutics|Bancorp|Logistics|Semiconductor|Foods|Insurance Group|Networks|
Materials|Retail|Capital|Software|Motors|Realty Trust"""
_FIRST = """Adele Bernard Carla Dominic Edith Felix Greta Hugo Irene Jonas Karin Leon Miriam Nathan Olga Peter Quentin
Rosa Stefan Tessa Ursula Victor Wanda Xavier Yvonne Zachary Agnes Boris Celia Darius"""
_LAST = """Abernathy Bracken Castellan Dunleavy Eklund Farrow Gantry Hollis Ingram Jessup Kowal Lindqvist Marchetti
Nakata Okafor Prentiss Quayle Rasmussen Sandoval Thackeray Underhill Vasquez Wetherby Yardley Zeller Ambrose Bellamy
Corrigan Delacroix Fairweather"""
_MONTHS = "January February March April May June July August September October November December"
_HEADS = (
    """Alder Bracken Cold Dun Ever Fos Garth Hex Ilver Kel Lang Mar Nether Oxen Penn Quarr Raven Shaw Thorn Upper"""
)
_TAILS = (
    """marsh ford well combe leigh wick moor bridge ton by thorpe stead holm worth dale barrow hurst gate mere ney"""
)

COMPANIES = [f"{stem} {kind.strip()}" for stem, kind in product(_STEMS.split(), _KINDS.split("|"))]
PEOPLE = [f"{first} {last}" for first, last in product(_FIRST.split(), _LAST.split())]
MONTHS = _MONTHS.split()
TOWNS = [head + tail for head, tail in product(_HEADS.split(), _TAILS.split())]

# Made by a program because there are too many to write down; the grammar sees them as rules like any other.
LISTS = {
    "company": COMPANIES,
    "person": PEOPLE,
    "month": MONTHS,
    "town": TOWNS,
    "year": [str(year) for year in range(1995, 2024)],
    "percent": [f"{n / 10:.1f} percent" for n in range(3, 480, 7)],
    "points": [f"{n} basis points" for n in range(5, 180, 5)],
    "money": [f"${n / 10:.1f} {unit}" for n in range(11, 990, 13) for unit in ("million", "billion")],
    "price": [f"${n / 100:.2f}" for n in range(137, 9800, 97)],
    "count": [f"{n:,}" for n in range(120, 48_000, 371)],
    "day": [f"{month} {day}" for month in MONTHS for day in range(1, 29)],
}

WORDS = """
few:
  two | three | four | five | six | seven | eight | nine | ten | eleven | twelve | fifteen | twenty | thirty
title:
  chief executive | chief financial officer | chairwoman | head of research | treasurer | portfolio manager
  senior economist | managing director | chief operating officer | head of strategy | general counsel
place:
  London | Frankfurt | Singapore | Chicago | Toronto | Sydney | Zurich | Tokyo | Madrid | Stockholm | Dublin | Boston
  Houston | Seoul | Mumbai | Warsaw | Lisbon | Denver | Atlanta | Oslo | Vienna | Nairobi | Santiago | Auckland
sector:
  shipping | cement | software | lithium | natural gas | poultry | commercial property | reinsurance | semiconductors
  railways | specialty chemicals | diagnostics | cloud storage | copper | timber | airlines | advertising | cold storage
  medical devices | wind power | payments | consumer credit | furniture | steel | broadband | fertiliser | packaging
product:
  battery packs | loan servicing | flow meters | hospital beds | card terminals | frozen vegetables | guidance systems
  data centres | rolling stock | heat pumps | antibodies | memory chips | container leases | payroll software
  industrial lasers | term insurance | transformer oil | cattle feed | satellite links | office towers
customers:
  wholesalers | municipal utilities | small lenders | export buyers | online merchants | hospitals | contract growers
  long-standing distributors | aircraft lessors | retail investors | government agencies | independent pharmacies
instrument:
  ten-year notes | convertible bonds | crude futures | index options | bank shares | municipal debt | short-dated bills
  emerging-market currencies | commodity funds | mortgage securities | corporate bonds | dividend stocks | gold
measure:
  revenue | operating income | net interest margin | adjusted earnings | free cash flow | gross profit | order backlog
  comparable sales | assets under management | inventory turnover | working capital | return on equity | net bookings
quarter:
  first quarter | second quarter | third quarter | fourth quarter | first half | second half | fiscal year
rose:
  rose | climbed | advanced | gained | increased | improved | edged up | jumped | strengthened
fell:
  fell | declined | slipped | retreated | decreased | weakened | dropped | edged lower | contracted
moved:
  {rose} | {fell}
adverb:
  sharply | modestly | steadily | unexpectedly | gradually | briefly | broadly | slightly | noticeably | once again
quality:
  resilient | subdued | seasonal | structural | patchy | durable | volatile | cautious | promising | disappointing
  regional | long-term | fundamental | temporary | peculiar | competitive | disciplined | cyclical | heartening | mixed
factor:
  demand | pricing | inflation | freight cost | consumer confidence | capacity | currency translation | weather
  regulation | borrowing cost | wage growth | customer churn | export volume | energy cost | liquidity | supply
body:
  the central bank | the finance ministry | the antitrust authority | the securities regulator | the trade commission
  the statistics office | the court of appeals | the transport agency | the energy department | the rating agency
"""


def written_out(when: date) -> str:
    """A day as American prose has it; `strftime` would ask the locale."""
    return f"{MONTHS[when.month - 1]} {when.day}, {when.year}"


def day(first: date, last: date, share: float) -> date:
    """The day that lies `share` (0 to 1) of the way from `first` to `last`."""
    return date.fromordinal(first.toordinal() + int(share * (last - first).days))
