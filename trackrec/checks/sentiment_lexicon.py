"""English words by which free text says that something is liked, or not: patterns, their sign, and where their object is.

General over domains. Patterns of `trackrec.checks.cue_patterns` belong to the sentences of this project's own models, where
every word is known; these are for prose, so they say less (a sign), and say it of many more words.
"""

from __future__ import annotations

WHO = (
    r"(?:them|him|her|(?:this|the) (?:user|viewer|reader|person|customer|listener|individual|shopper|player|one)"
    r"|the (?:user|viewer|reader)['’]s (?:interest|attention|heart))"
)
"""The user, as an object."""

_NOUN = r"(?:ratings?|marks?|scores?|reviews?|stars|grades?|praise)"

LIKES_AFTER = (
    r"likes\b|liked|liking(?: for| of)?|(?:(?<=they )|(?<=to )|(?<=not )|(?<=n't )|(?<=n’t )|(?<=also )|(?<=really )|(?<=who )|(?<=i )|(?<=you )|(?<=we )|(?<=viewers )|(?<=users )|(?<=readers )|(?<=generally )|(?<=clearly )|(?<=mostly )|(?<=both )|(?<=usually )|(?<=often ))like\b",
    r"enjoy(?:s|ed|ing)?(?: watching| reading)?|enjoyment of|appreciat(?:es?|ed|ing|ion)(?: (?:for|of))?|admir(?:es?|ed|ing|ation)(?: (?:for|of))?",
    r"lov(?:es|ed|ing)|love(?: (?:of|for))?(?!\s*(?:[,.;:)]|$|(?:and|or|as|in|with|story|stories|interests?)\b))|ador(?:es?|ed|ing)|relish(?:es|ed)?|cherish(?:es|ed)?|treasur(?:es?|ed)|embrac(?:es?|ed)|savou?r(?:s|ed)",
    r"honou?r(?:s|ed)?|rever(?:es?|ed)|valu(?:es?|ed|ing)|favou?r(?:s|ed|ing)?|praises?|praised|rewards?|rewarded|respects?|respected|crav(?:es?|ing)",
    r"prefer(?:s|red|ring)?|preference (?:for|towards?)|gravitat(?:es?|ed|ing) to(?:wards?)?|lean(?:s|ed|ing)? towards?|incline[sd]? to(?:wards?)?|tend(?:s|ed)? towards?",
    r"warm(?:s|ed)? to|respond(?:s|ed)? (?:(?:very |quite |especially |particularly )?(?:well|best|strongly|warmly|positively|better|favou?rably|enthusiastically) )?to|take(?:s)? to|took to|thriv(?:es?|ed) on|laugh(?:s|ed)? at|delight(?:s|ed)? in|revel(?:s|led)? in|accepts?|accepted|happiest (?:when|with)|(?:strongest|deepest|greatest) (?:loyalty|love|affection) (?:is|goes|lies) (?:to|for|with)|hungry for|moved by|at home (?:in|with)",
    r"(?:fan|fans|lover|lovers|admirer|devotee|enthusiast)s? (?:of|for)|fond of|fonder of|heart (?:is|lies) (?:in|with)|has a place for|have a (?:\w+ )?side,? for|keen on|enthusiastic about|passionate about|drawn to|draws? towards|attracted to|partial to|(?:taken|impressed|delighted|charmed|thrilled|pleased|happy|satisfied|enthralled|captivated|moved|won over) (?:with|by)|hooked on|big on|sold on|crazy about|mad about|open to",
    r"(?:soft spot|taste|affection|affinity|appetite|enthusiasm|fondness|passion|penchant|admiration|love|liking|weakness|enjoyment|appreciation|predilection|eye|hunger|inclination|leaning|regard)(?: (?:goes|lies|is))? (?:for|towards?|to|of)",
    r"(?<!no )(?<!little )(?<!lack of )(?:strong |deep |clear |keen |evident |great |particular |special |consistent |notable |genuine |marked )?interest (?:in|towards?)|interested in|fascinat(?:ed by|ion with)",
    r"(?:high(?:er|est|ly)?|top|great|excellent|glowing|full|strong|perfect|stellar|maximum|good|positive|favou?rable) "
    + _NOUN
    + r"(?: (?:for|to|of|on))",
    r"(?:gave|gives?|giving|award\w*|assign\w*) (?:\w+ )?(?:high|top|full|the highest|excellent|good|great) "
    + _NOUN
    + r" (?:for|to)",
    r"(?:rate[sd]?|rating|score[sd]?|rank(?:s|ed)?) (?:\w+ )?(?:high|highly|higher|very well|favou?rably|generously|best)(?: on)?",
    r"rat(?:es?|ed|ing)(?= (?:(?!\b(?:but|poorly|badly|low|lower)\b)[^.;]){2,140}?,? (?:highly|favou?rably|positively)\b)|highly rate[sd]?|highly (?:enjoy|value|appreciate|regard)(?:s|ed)?|(?:think|thinks|thought|speaks?) (?:very |quite |so )?(?:highly|well|the world) of|(?:had|has|have) (?:a )?(?:great|good|wonderful|fine|fantastic) (?:time|fun) with|(?:can(?:no|['’])t|could not|couldn['’]t) get enough of|(?:can(?:no|['’])t|could not|couldn['’]t) resist",
    r"(?:(?<!['’]s )favou?rites?|(?:user|viewer|reader)['’]s favou?rites?|(?:best|most)[- ](?:liked|loved|enjoyed))(?: (?:\w+ ){0,2}(?:is|are|was|were|include[sd]?|being))?:?|(?:go(?:es)?|went|fall(?:s)?|fell) for|seek(?:s)? out|always up for|comfort(?:able)? with",
    r"found (?=[^.;,]{2,60}? (?:brilliant|great|excellent|wonderful|engaging|enjoyable|moving|fitting|compelling|delightful|funny|superb|good)\b)|(?:thought|considered) (?=[^.;,]{2,60}? (?:brilliant|great|excellent|wonderful|good|superb)\b)|found (?=[^.;,]{2,70}? to be (?:a |an |one of the )?(?:most )?(?:brilliant|fitting|great|excellent|wonderful))",
)
"""What is liked follows."""
DISLIKES_AFTER = (
    r"dislik(?:es?|ed|ing)(?: (?:of|for))?|hat(?:es?|ed|ing)|hatred of|loath(?:es?|ed|ing)|detest(?:s|ed)?|despis(?:es?|ed)|reject(?:s|ed|ing)?|refus(?:es?|ed)|dismiss(?:es|ed)?(?: of)?|scorn(?:s|ed)?|resent(?:s|ed)?",
    r"avoid(?:s|ed|ing)?|shun(?:s|ned)?|steer(?:s|ed)? clear of|turn(?:s|ed)? away from|sh(?:y|ies|ied) away from|stay(?:s|ed)? away from|resist(?:s|ed)?|struggl(?:es?|ed|ing) (?:with|to (?:enjoy|like|connect with))",
    r"(?:can(?:no|['’])t|cannot|could not|couldn['’]t|can not) (?:bear|stand|abide|stomach)|(?:no|little|scant|limited|less|not much|zero|minimal|lack of|lacks?|lower) (?:\w+ )?(?:interest|patience|time|love|appetite|taste|tolerance|enthusiasm|affection|liking|use|affinity|appreciation) (?:in|for|with|of)",
    r"(?:aversion|antipathy|resistance) to|avers?e to|distaste for|disdain for|(?:critical|wary|tired|weary|sceptical|skeptical|suspicious) of|(?:cool|cooler|cold|colder|lukewarm|mild|tepid|indifferent|ambivalent|less enthusiastic|unenthusiastic|less keen|neutral) (?:on|about|towards?|to)",
    r"(?:unimpressed|bored|put off|let down|disappointed|annoyed|unmoved|irritated|turned off|underwhelmed|frustrated|tired|less impressed|less taken|unsatisfied|dissatisfied)(?: only| mainly| mostly| chiefly)? (?:by|with|in)|impatient (?:with|of)|(?:hard|harder|harsh|harsher|tough|tougher|strict|stricter) (?:on|with|towards?)|disappointment (?:with|in)|shrug(?:s|ged)? (?:at|off)|struggle[sd]? through",
    r"(?:low|lower|lowest|poor|weak|bad|negative|unfavou?rable|lukewarm|critical|poorest|harsh) "
    + _NOUN
    + r"(?: (?:for|to|of|on))",
    r"rat(?:es?|ed|ing)(?= (?:(?!\b(?:but|highly|well|high|higher)\b)[^.;]){2,140}?,? (?:poorly|badly|unfavou?rably|negatively)\b)|(?:gave|gives?|giving|award\w*|assign\w*) (?:\w+ )?(?:low|poor|bad|the lowest|lower) "
    + _NOUN
    + r" (?:for|to)|(?:rate[sd]?|rating|score[sd]?|rank(?:s|ed)?) (?:\w+ )?(?:low|lower|poorly|badly|lowest)(?: on)?",
    r"care[sd]? (?:much |far |a lot )?(?:less|little|nothing) for|(?:think|thinks|thought) (?:poorly|little|badly|less) of|least[- ](?:favou?rites?|liked|loved|enjoyed)(?: (?:\w+ ){0,2}(?:is|are|was|were|include[sd]?))?:?|(?:not|isn['’]t|no|aren['’]t|never) (?:a |much of a |a big |big )?(?:fan|fans|lover|admirer)s? of|bring(?:s)? little to",
    r"(?:thought|found|considered) (?=[^.;,]{2,60}? (?:awful|terrible|boring|dull|bad|disappointing|tedious|weak|forgettable|unbearable)\b)",
)
"""What is not liked follows."""
LIKED_BEFORE = (
    r"(?:thrill|delight|please|charm|move|fascinate|amuse|satisf|entertain|captivate|impress|attract|suit|grip|excite|engage|touche|stir|reache|draw|enchant|intrigue|win|grab|appeal)(?:s|d|es|ed|ies|ied)? (?:to )?(?:\w+ly )?"
    + WHO
    + r"(?: over)?(?: (?:too|as well|most|next|also|deeply|greatly))?",
    r"won "
    + WHO
    + r"(?: over)?|w(?:i|o)ns? over "
    + WHO
    + r"|moved "
    + WHO
    + r"|appeal(?:s|ed)?(?: strongly| greatly| deeply)?(?: to "
    + WHO
    + r")?|(?:resonate[sd]?|click(?:s|ed)?|connect(?:s|ed)?|land(?:s|ed)? well)(?: (?:strongly|deeply|well))?(?: with "
    + WHO
    + r")?|made "
    + WHO
    + r" (?:laugh|smile|cry)|speaks? to "
    + WHO,
    r"(?:do|does|did|done|far(?:e|es|ed)|go(?:es)?|went|score[sd]?|perform(?:s|ed)?|rank(?:s|ed)?|work(?:s|ed)?|land(?:s|ed)?|come[s]?|came|rate[sd]?) (?:down |over |across )?(?:just as |equally |very |so |quite |especially |really )?(?:well|best|high|highly|highest|higher|strongly|better)(?: with "
    + WHO
    + r")?(?: (?:too|as well))?",
    r"(?:is|are|was|were|been|being|get|gets|got|remains?) (?:(?:all|both|also|just|very|always|equally|much|well|highly|clearly|greatly|truly|really|often|generally|mostly|each|too|more) ){0,3}(?:liked|loved|adored|enjoyed|welcomed?|cherished|favou?red|revered|appreciated|admired|treasured|praised|preferred|embraced|well[- ]received|well[- ]liked|rated high(?:ly)?|highly rated|reliable|certain|beloved|won over|(?:a |an |clear |big |great |real |pleasant |firm |particular |constant |huge )*(?:hits?|success(?:es)?|delights?|treats?|pleasures?|strengths?|highlights?|attractions?|joys?|triumphs?|surprises?|winners?|strong (?:point|suit)s?))(?! (?:less|least))(?: with "
    + WHO
    + r")?",
    r"(?:is|are|was|were|remain|remains) (?:(?:clearly|also|among|one of|some of|all|always|certainly|evidently|a|an|the|their|his|her|this|user['’]s|viewer['’]s|all-time|clear|firm|personal|absolute|particular|biggest|greatest|top|of) )*(?:favou?rites?|comfort zone|cup of tea|thing|strong suit|strong point|sweet spot|forte|core of their taste|bread and butter|best genre|top genre)(?: films?| movies?| genres?| of theirs)?",
    r"hold(?:s)? a special place|no obstacle|(?:is|are|was|were) (?:a )?sure (?:hits?|bets?)|(?:is|are|was|were) (?:a )?safe bets?|succeeds?|succeeded|never miss(?:es)?|never los(?:es?)|(?:has|have) a place|also lands?|(?:is|are|was|were) (?:equally |just as |very )?dear|(?:is|are) accepted|open(?:s)? (?:their|his|her) heart|(?:always|usually|reliably) (?:wins?|works?|pleases?|delights?)|(?:just|every bit) as (?:good|welcome|reliable|certain)|please(?:s|d)? (?:too|as well|them)|welcome(?=[ ,.;]|$)|works?(?= when| if| too\b| as well|[,.;:]|$)|interest(?:s|ed)? "
    + WHO
    + r"|(?:is|are) allowed|(?:is|was) (?:a )?(?:their|his|her) heart|stand(?:s)? out|stood out|(?:earn|win|get|receive|garner|draw)(?:s|ed)? (?:their |his |her |the |high |top |full |much |great )*(?:praise|respect|approval|admiration|affection|acclaim|top mark|top marks|highest mark|highest marks|high marks|high(?:er)? ratings?|highest ratings?|high(?:er)? scores?)|hit(?:s)? the (?:mark|spot)|never (?:fail|disappoint|let down)s?(?: "
    + WHO
    + r")?|(?:was|were|is|are) (?:all )?(?:to|right up) (?:their|his|her) (?:taste|liking|alley)|(?:for|with) "
    + WHO
    + r"(?= all right)|(?:is|are) (?:fine|good|great) (?:too|as well)?(?=[,;.]|$)|charm(?:s|ed)?(?= "
    + WHO
    + r")",
    r"(?:is|are|was|were) (?:all |both |also )?(?:their|his|her|the) (?:great |other |main |big |true |deepest |first )?(?:loves?|passions?|delights?|favou?rites?)(?: of (?:theirs|his|hers))?|(?:was|were|is|are) for "
    + WHO
    + r"|(?:was|were|is|are) (?:really )?(?:brilliant|excellent|good|great|wonderful|fantastic) (?:for|to) "
    + WHO
    + r"|(?:thought|found) (?:\w+ ){1,4}(?:was|were) (?:good|great|brilliant|excellent|wonderful|fantastic)",
)
"""What is liked comes before."""
DISLIKED_BEFORE = (
    r"(?:impress|please|move|thrill|interest|attract|appeal|amuse|excite|charm|grip)(?:s|d|ed|es)? (?:to )?"
    + WHO
    + r" (?:far |much |rather |even |no |a little )?(?:less|more than a little less)|(?:tiresome|tedious|dull|boring|wearying) to "
    + WHO
    + r"|(?:(?:is|are|was|were) )?(?:merely|only|barely|just) (?:tolerated|accepted|endured|fair)|earns? (?:only |just )?(?:a )?shrugs?|(?:do|does|did)(?: not|n['’]t) (?:convince|persuade)|do not convince",
    r"fail(?:s|ed|ing)?(?! to (?:like|enjoy|appreciate|see))(?: to (?:win|impress|please|move|charm|engage|excite|satisfy|work|connect|land|convince|entertain|resonate|appeal|grab|hold)(?: over)?(?: (?:with |to )?"
    + WHO
    + r")?(?: over)?)?|f(?:a|e)lls? (?:rather |somewhat )?(?:flat|short|behind|back)|bor(?:es?|ed) "
    + WHO
    + r"|(?:leav(?:es?|ing)|left) "
    + WHO
    + r" (?:cold|cool|unmoved|lukewarm|indifferent|mild|unimpressed|bored|wanting|flat|untouched|disappointed|unsatisfied)|leaves? (?:them|him|her) (?:cold|cool)",
    r"disappoint(?:s|ed)?(?: "
    + WHO
    + r")?(?! (?:by|with|in))|(?:do|does|did|done|far(?:e|es|ed)|go(?:es)?|went|score[sd]?|perform(?:s|ed)?|rank(?:s|ed)?|work(?:s|ed)?|come[s]?|came|rate[sd]?|land(?:s|ed)?) (?:down |over |across |even |as |far |much |just as |very |equally )*(?:worse|worst|badly|poorly|no better|less well|low|lower|lowest|weakly)(?: with "
    + WHO
    + r")?",
    r"(?:is|are|was|were|been|being|get|gets|got|remains?) (?:(?:all|both|also|just|very|always|equally|much|generally|mostly|each|too|even|only|merely|rather|less|somewhat|largely|simply|outright) ){0,3}(?:disliked|hated|rejected|dismissed|refused|scorned|loathed|avoided|unwelcome|thrown out|marked down|weak(?:er)?|average|merely fair|only fair|fair|mild|lukewarm|middling|mediocre|cool(?:er)?|unpopular|poorly rated|poorly received|low[- ]rated|awful|terrible|boring|dull|forgettable|disappointing|underwhelming|not liked|(?:a |an |clear |big |great |real |their |his |her |the )*(?:let-?downs?|disappointments?|miss(?:es)?|duds?|flops?|failures?|weak (?:spot|point)s?|weakness(?:es)?|irritations?|worst (?:thing|film|movie|book|one)\w*|no favou?rites?|turn-?offs?))",
    r"(?:is|are|was|were|(?:appear|seem)(?:s|ed)? (?:to be )?) ?(?:less|least) (?:favou?red|liked|preferred|appreciated|appealing|attractive)|(?:annoy|irritate|tire|repel|frustrate|wear|drag)(?:s|d|ed)? (?:on |out )?"
    + WHO
    + r"|(?:put|turn)(?:s|ed)? "
    + WHO
    + r" off|(?:sit|sits|sat|rank|ranks|ranked|land|lands|landed) (?:at )?(?:the )?(?:bottom|lowest|last)|misfire[sd]?|flop(?:s|ped)?|bomb(?:s|ed)|stay(?:s|ed)? lukewarm|(?:got|gets|get|receive[sd]?|receiving|earn(?:s|ed)?|(?:was|were) given) (?:the |a |much |slightly |somewhat |relatively )?(?:thumbs down|(?:low(?:er|est)?|poor|bad) (?:ratings?|marks?|scores?)|little (?:praise|love|interest))|sink(?:s)?|suffer(?:s|ed)?",
    r"(?:is|are|was|were) (?:\w+ )?(?:what|the (?:film|movie|book|kind|one|ones|title)s?) (?:that )?(?:they|he|she|this \w+|the \w+) (?:like|enjoy|love|rate)[sd]? (?:the )?(?:least|lowest)|(?:is|are|was|were) what (?:they|he|she|this \w+|the \w+) (?:cannot|can['’]t|could not) (?:bear|stand)|(?:is|are|was|were) (?:their|his|her|the) least[- ](?:favou?rite|liked|loved)s?(?: \w+)?|(?:do|does|did)(?: not|n['’]t) do (?:much|a lot|anything|a thing) for "
    + WHO
    + r"|(?:was|were|is|are) (?:just |only |merely )?(?:okay|ok|so-so|fine at best|passable|tolerable|rated as average|rated average)(?: for "
    + WHO
    + r")?|(?:hard|difficult|tough) to sit through",
    r"(?:bored|irritated|annoyed|repelled|disappointed) "
    + WHO
    + r"|(?:cooler|colder|weaker|lesser|poor|thin) ground|barely (?:stir|move|interest|touch|excite)s? "
    + WHO
    + r"|hold(?:s)? (?:them |a film |it )?back|of no (?:use|interest) to "
    + WHO
    + r"|(?:leave|leaves|left) "
    + WHO
    + r" \w*(?:cold|cool)",
)
"""What is not liked comes before."""
MIXED = r"mixed|splits?|divid(?:es?|ed)|uneven|depends?|a gamble|hit[- ](?:and|or)[- ]miss|inconsistent|ambivalent|both extremes|whole scale|full scale|the extremes|no recipe|automatic|balanced|swings"
"""Some liked, some not."""
STRONG = r"\b(?:lov|ador|favou?rite|highly|treasur|cherish|revere|thrill|crav|can['’]t get enough|huge|top |highest|perfect|enthusias|passion|brilliant|excellent|fantastic|hat(?:e|ed|es)\b|loath|detest|despis|awful|terrible|worst|lowest|cannot bear|could not stand)"
"""Words that a middling rating does not bear out."""
WEAK = r"\b(?:fair|sinks?|suffers?|open to|interest|interested|value|appreciat|respect|comfort|connect|thing|fine|stand|resist|works?\b|fails?\b|good(?! time)|great(?! time)|reliable|certain|charm|cool|mild|average|hold|lower|neutral|for them)"
"""Words that also stand where nothing is said of liking: they may bear out, but never accuse on their own."""
