"""The English grammar: one rule for each kind of prose that a corpus of the sample holds."""

from __future__ import annotations

from corpora.sample.grammar import Grammar
from corpora.sample.words import LISTS, WORDS

FINANCE = """
cause:
  {body} signalled that {factor} would stay {quality} | {quality} {factor} in {place} weighed on {sector}
  {customers} postponed orders for {product} | a {quality} report on {factor} surprised traders
  {company} cut its forecast for {measure} | {measure} at {company} {rose} by {percent}
  talks over tariffs on {sector} broke down | a cold {month} disrupted {sector} near {place}
hedge:
  although {factor} remains {quality} | as {factor} turned {quality} | despite {quality} {factor} in {sector}
  while {customers} held back | even as {factor} {moved} {adverb} | because {cause}
markets:
  {instrument} {moved} {adverb} in {place} on {day} after {cause}
  shares of {company} {moved} {percent} to {price}, {hedge}
  the spread between {instrument} and {instrument} widened by {points}, {hedge}
  investors bought {instrument} and sold {instrument} because {cause}
  "{quality} {factor} is what we worry about," said {person}, {title} at {company} in {place}
  volume in {instrument} was {percent} above its average of the past {few} sessions
  {person} of {company} expects {instrument} to trade in a {quality} range until {month}
  yields on {instrument} {moved} {points} to their {quality} level since {month}
  analysts in {place} polled by {company} had forecast that {measure} in {sector} would rise {percent}
  {body} said on {day} that it would review {factor} in {sector} before the end of {month}
  traders pointed to {quality} {factor}, and some said that {cause}
  the decision leaves {customers} with {few} weeks to adjust, according to {person}
  exporters of {product} were among the losers, {hedge}
  in {place}, {instrument} {moved} for the {few} straight days that followed the announcement, {hedge}
results:
  {measure} for the {quarter} {moved} {percent} to {money}, {hedge}
  {company} today reported {measure} of {money} for the {quarter}, compared with {money} a year earlier
  "our {quality} performance shows that {product} matter to {customers}," said {person}, {title} of {company}
  the board declared a dividend of {price} per share, payable on {day} to holders of record on {day}
  we expect {measure} to grow between {percent} and {percent}, assuming that {factor} remains {quality}
  sales of {product} to {customers} {moved} {percent}, {hedge}
  the company opened {few} sites in {place} and signed {few} contracts for {product}
  operating expenses {moved} by {money}, mainly because of {quality} {factor}
  cash and equivalents stood at {money} at the end of the {quarter}
  {company} repurchased {count} shares at an average price of {price}
  management raised its outlook for {measure} after {quality} orders from {customers}
  the integration of {company} is {few} months ahead of plan and should lift {measure} by {money}
  backlog in {sector} {moved} to {money}, of which {percent} relates to {product}
deal:
  {company} agreed to buy the {product} business of {company} for {money} in cash and shares
  the transaction values the target at {few} times its {measure} and should close in {month}
  {body} must approve the deal, and {person} expects a {quality} review
  {company} will finance the purchase with {instrument} and expects savings of {money} a year
  "the combination gives {customers} a wider choice of {product}," {person} said
  shareholders of {company} are to receive {price} for every share they hold
  advisers in {place} worked on the sale for {few} months, {hedge}
  {few} bidders from {place} and {place} had looked at the {sector} unit
business:
  we design, make and sell {product} for {customers} in {few} countries
  our {sector} segment operates {few} plants near {place} and serves about {count} {customers}
  we compete on price, service and {quality} {factor} with many larger suppliers of {product}
  we employ approximately {count} people, of whom {percent} are covered by agreements with unions
  no customer accounted for more than {percent} of {measure} in any of the periods presented
  we hold {few} patents that relate to {product}, the last of which expires in {year}
  raw materials for {product} are bought from {few} suppliers under contracts that run for {few} months
  our principal offices are in {place}, with further space for {product} under lease in {place}
  we spent {money} on research into {product}, and {money} in the year before
  sales of {product} are seasonal and reach their peak in {month}
risk:
  if {factor} in {sector} becomes {quality}, our {measure} could suffer materially
  we depend on {few} suppliers of {product}, and the loss of any of them could harm our {measure}
  changes in {factor} may lead {customers} to delay or cancel orders for {product}
  we may be unable to refinance {money} of borrowings that fall due in {month} on acceptable terms
  a failure of our systems in {place} could interrupt the delivery of {product} to {customers}
  {body} may adopt rules on {factor} that raise our cost of compliance in {sector}
  our {instrument} expose us to losses when {factor} moves in an unusual way
  claims that our {product} infringe the rights of others could be costly whether or not they have merit
  competition in {sector} is intense, and rivals with more capital may offer {product} at lower prices
  we have recorded goodwill of {money} that would be impaired if {measure} were to fall for {few} periods
  the price of our common stock has been volatile and may remain so for reasons that we do not control
  disputes over {factor} between {place} and {place} could limit our access to {customers}
  we may not retain the people who know {sector} best, in particular in {place}
discussion:
  {measure} {moved} {percent} to {money} in the period, primarily because of {quality} {factor}
  the change in {measure} reflects higher volumes of {product} sold to {customers}, partly offset by {factor}
  cost of sales as a share of revenue {moved} by {points}, {hedge}
  we believe that cash of {money} and our credit line of {money} will cover our needs for {few} quarters
  a change of {points} in interest rates would alter annual {measure} by approximately {money}
  net cash provided by operating activities was {money}, compared with {money} in the prior period
  capital expenditures of {money} were spent chiefly on {product} in {place}
  critical estimates concern the allowance for {factor}, which management reviews each {quarter}
  our effective tax rate was {percent}, and differs from the statutory rate because of {factor} in {place}
  income from {sector} includes a charge of {money} for the closure of a site in {place}
research:
  we rate {company} a {quality} holding with a target of {price}, {hedge}
  our model puts {measure} at {money} in {year}, {percent} above the consensus
  conversations with {few} {customers} suggest that {factor} in {sector} is more {quality} than prices imply
  the main risk to this view is that {cause}
  relative to {instrument}, {instrument} look {quality} on every measure but {measure}
  {person} visited the {product} plant near {place} in {month} and came back {quality} on {factor}
  a rise of {points} in funding cost would take {percent} off our estimate of {measure}
  we would add to positions in {sector} below {price} and reduce them above {price}
  history offers {few} comparable episodes, the last of them in {year}, when {cause}
  scenario two assumes {quality} {factor} and a fall of {percent} in {measure}
  position limits for {instrument} remain at {money}, as agreed with the desk in {place} on {day}
headline:
  {company} lifts outlook as {factor} improves | {company} cuts {count} jobs in {sector} | {sector} braces for {factor}
  {instrument} {moved} after {place} meeting | {company} names {person} {title} | {body} weighs rules on {sector}
  {company} in talks over {product} unit | {customers} turn to {product} | why {factor} worries {place}
announcement:
  {company} reports results for the {quarter} of {year} | {company} appoints {person} as {title}
  {company} to acquire {product} business of {company} | {company} declares dividend of {price} per share
  {company} opens {product} centre in {place} | {company} prices offering of {instrument}
"""

GENERAL = r"""
thing:
  wooden bench | paper lantern | copper kettle | folding bicycle | clay pot | stone wall | wool blanket | garden shed
  fishing line | linen apron | glass jar | kitchen knife | camping stove | rain barrel | picture frame | reading lamp
plant:
  tomatoes | lavender | runner beans | basil | rhubarb | sweet peas | leeks | strawberries | sage | pumpkins | dill
dish:
  onion soup | barley salad | plum cake | lentil stew | rye bread | mushroom pie | pickled cabbage | apple pancakes
animal:
  herons | red foxes | hedgehogs | barn owls | otters | honey bees | wild ponies | bats | seals | swallows
landscape:
  harbour | valley | cloister | lighthouse | market square | forest | reservoir | coast path | castle hill | canal
manner:
  slowly | with care | in small batches | before dawn | twice a week | by hand | without hurry | after the rain
everyday:
  we planted {plant} next to the {thing} and watered them {manner} until {month}
  for the {dish}, chop the {plant}, warm the {thing} and stir {manner} for about {few} minutes
  the walk from the {landscape} to the {landscape} takes {few} hours if you go {manner}
  my neighbour {person} swears by {plant} in a {thing}, and I have come to agree
  you will need a {thing}, {few} metres of string and some patience
  {animal} visit the {landscape} near {place} every {month}, usually {manner}
  the museum in {place} shows a {thing} that {person} made in {year}
  if the {dish} turns out too dry, add {plant} and let it rest for {few} minutes
  there is a small shop behind the {landscape} where {person} repairs every {thing} {manner}
  our team won by {few} points after {person} scored twice in the last {few} minutes
  children can watch {animal} from the {landscape}, where a guide explains how they live
  it rained for {few} days in {place}, so we stayed in and made {dish}
  the best time to move {plant} is {month}, when the soil is still warm
  I bought the {thing} in {place} {few} years ago and it still works {manner}
  trains to {place} leave from the {landscape} every {few} minutes on weekdays
  write the date on each {thing} so that you know which {plant} you stored first
page_title:
  how to grow {plant} | {dish} the way {person} makes it | {few} walks around {place} | repairing a {thing}
  where to watch {animal} near {place} | a weekend in {place} | notes on the {thing}
law:
  {person} appealed from the order of the district court in {place}, which had dismissed the claim against {company}
  the statute requires that notice be given within {few} days, and the record shows that it was given in {month}
  we review the grant of summary judgment without deference to the court below
  the contract for {product} provided that disputes be heard in {place}
  counsel for {company} conceded at argument that the shipment of {product} arrived {few} weeks late
  the jury found that {person} had relied on the statement and awarded {money} in damages
  we agree with the trial judge that the testimony of {person} was properly admitted
  nothing in the agreement of {year} relieved {company} of its duty to inspect the {product}
  the judgment is affirmed in part, reversed in part, and remanded for a hearing on {factor}
  the dissent reads the clause as a warranty, but the words do not bear that meaning
disease:
  hypertension | asthma | type 2 diabetes | migraine | osteoporosis | sepsis | chronic kidney disease | psoriasis
finding:
  survival | symptom score | hospital admission | blood pressure | bone density | relapse | sleep quality | recovery
medicine:
  we enrolled {count} adults with {disease} at {few} centres in {place} between {month} and {month}
  patients were assigned at random to the active treatment or to placebo for {few} weeks
  the primary outcome was {finding}, measured at baseline and after {few} months
  {finding} improved by {percent} in the treated group and by {percent} among controls
  adverse events were mild and {finding} did not differ between the groups
  the association between {disease} and {finding} persisted after adjustment for age and sex
  these results suggest that early treatment of {disease} may improve {finding}
  limitations include the short follow-up and the loss of {few} participants in {place}
  larger trials are needed to confirm the effect on {finding} in people with {disease}
object:
  graph | manifold | estimator | lattice | kernel | semigroup | spectrum | random walk | operator | potential
property:
  compact | sparse | mixing | convex | unitary | locally finite | self-adjoint | bounded | primitive | separable
science:
  we show that every {property} {object} admits a {property} {object} with $\lambda_1>0$
  let $G=(V,E)$ be a {property} {object} and denote by $\mu(G)$ its {object}
  the proof of Theorem~\ref{{thm}} rests on a bound for the {object} due to {person} \cite{{key}}
  in Section~\ref{{sec}} we treat the case in which the {object} is not {property}
  numerical experiments with {count} samples confirm that the {object} remains {property}
  it would be of interest to extend the argument to a {property} {object} in higher dimension
  as $n\to\infty$ the {object} converges to a {property} limit, uniformly on every {property} set
  our method differs from that of {person}, who assumes a {property} {object}
thm:
  thm:main | thm:bound | thm:limit
sec:
  sec:proof | sec:examples | sec:numerics
key:
  alpha98 | beta07 | gamma13 | delta20
module:
  parser | scheduler | cache | router | ledger | encoder | queue | buffer | session | index
action:
  load | flush | rotate | merge | validate | resolve | collect | publish | retry | trim
computing:
  I am trying to {action} the {module} from a background thread, but the {module} stays empty
  the {module} works on my machine with {few} workers and fails on the server after {few} minutes
  you should {action} the {module} before you {action} the {module}, otherwise the lock is never released
  calling `{action}_{module}()` twice returns the old value, which is documented but easy to miss
  the error says that the {module} is closed, although I only {action} it once
  one way is to subclass the {module} and override `{action}` so that it returns early
  as {person} notes in a comment, the default for the {module} changed in release {few}
  have you tried to {action} the {module} with logging turned on?
  measure it first: in my tests the {module} took {percent} of the time
  this is by design, because the {module} must not {action} while the {module} holds a reference
code:
  def {action}_{module}(self, {module}_name):¶    '''{Action} the {module} and return its name.'''
  ¶    if {module}_name in self.{module}s:¶        return self.{action}({module}_name)¶
  ¶    # The {module} may be empty while another worker is about to {action} it.¶    raise KeyError({module}_name)¶
  ¶class {Action}Error(Exception):¶    '''Raised when a {module} cannot {action} within {few} seconds.'''¶
  ¶from project.{module} import {action}_{module}, {action}_all¶
  ¶    for {module} in self.{action}_all(limit):¶        yield {module}.{action}(timeout, retries)¶
Action:
  Load | Flush | Rotate | Merge | Validate | Resolve | Collect | Publish
river:
  Avenbourne | Brisk | Callow | Derrin | Elder | Fallow | Grey | Isling
wiki:
  {town} grew around a ferry on the River {river} and received its charter in {year}
  the population was {count} at the census of {year}, and about {percent} work in {sector}
  {person} founded a works for {product} at {town}, which employed {count} people until {year}
  the railway from {place} reached {town} in {year} and made the export of {plant} possible
  the parish church was rebuilt after a fire and contains a {thing} by {person}
  {animal} breed on the banks of the {river}, which has been protected since {year}
  local dishes include {dish} and {dish}, both served at the fair held every {month}
  the {landscape} was restored between {year} and {year} with a grant of {money}
  {company} moved its seat from {place} to {town} in {year}
  the economy long depended on {sector}, and later on {product} sold to {customers}
  according to {person}, the name refers to a {landscape} that disappeared in the flood
"""

JUNK = """
menu_entry:
  home | shop | news | contact | login | help | prices | archive | careers
  search | imprint | sitemap | wishlist | cart
symbol:
  ★ | ☆ | » | « | • | · | ✓ | ✗ | → | ← | ▲ | ▼ | § | © | ® | ™ | / | * | ~ | ◊
"""

ENGLISH = Grammar(WORDS, FINANCE, GENERAL, JUNK, lists=LISTS)
