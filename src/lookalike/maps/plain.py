"""Which categories have a name that people say.

Between the thousand classes and "animal" WordNet has many that nobody would write on a map, like
"odonate", "chordate" or "commodity". The plain ones were picked by hand from all 852 above the
classes. Classes themselves are all said.
"""

from __future__ import annotations

import functools

from lookalike.categories import Category, category_tree
from lookalike.categories.labels import worth_saying

PLAIN = frozenset(
    """
    animal|mammal|dog|bird|vehicle|clothing|reptile|insect|food|musical instrument|furniture
    hunting dog|working dog|terrier|hound|sporting dog|shepherd dog|toy dog|spaniel|retriever
    watchdog|wolf|fox|bear|setter|poodle|wild dog|greyhound|sled dog|mastiff|bulldog|schnauzer
    motor vehicle|primate|snake|wading bird|fish|machine|fruit|building|tool|feline|monkey
    aquatic bird|home appliance|kitchen appliance|electronic equipment|game equipment|vegetable
    measuring instrument|wind instrument|lizard|ball|car|sports equipment|edible fruit|arachnid
    crustacean|headdress|shop|amphibian|beetle|percussion instrument|stringed instrument|timepiece
    truck|dish|cat|game bird|bottle|cooking utensil|fabric|hand tool|kitchen utensil|seat|weapon
    fungus|spider|mollusk|big cat|butterfly|rodent|boat|box|computer|ship|finch|salamander|turtle
    shorebird|domestic cat|ape|bag|footwear|bird of prey|grouse|parrot|crab|aircraft|armor|chair
    gun|hat|keyboard instrument|personal computer|public transport|roof|skirt|wheel|woodwind
    tableware|bread|baked goods|squash|beverage|person|shark|frog|waterfowl|marsupial|heron|seabird
    echinoderm|antelope|brass|bridge|bus|cap|cart|clock|coat|crockery|firearm|hosiery|lamp|memorial
    necktie|optical instrument|pen|place of worship|portable computer|pot|sailing vessel|screen
    shoe|swimsuit|telephone|van|wagon|writing implement|dessert|condiment|seed|plant|ray|thrush
    newt|sea turtle|boa|rattlesnake|duck|worm|lobster|stork|sandpiper|whale|corgi|wildcat|rabbit
    elephant|lemur|basket|bicycle|bowl|cabinet|camera|column|cosmetic|curtain|decoration
    glass|golf equipment|gown|guitar|heater|helmet|house|jar|jug|keyboard|knife|lock|locomotive
    makeup|mask|medical instrument|oven|pan|photographic equipment|piano|plaything|power tool|puzzle
    reservoir|robe|sailboat|scarf|scientific instrument|sled|slot machine|sweater|table|theater
    towel|trap|warship|sandwich|snack food|citrus|sauce|punch|mountain|ridge|shore|flower|hawk|eagle
    owl|gecko|chameleon|crocodile|alligator|dinosaur|python|cobra|pheasant|peafowl|cockatoo|cuckoo
    swan|kangaroo|coral|egret|plover|penguin|dolphin|sea cow|seal|squirrel|horse|cattle|sheep|goat
    camel|sloth|salmon|airplane|bandage|bed|bedclothes|bench|belt|boot|brush|calculator|canopy
    cargo ship|chest of drawers|coffee maker|compass|cushion|door|dress|drinking vessel|eraser
    factory|fan|farm building|garden tool|gate|glove|jacket|jewelry|key|lantern|machine gun
    marketplace|microscope|mirror|motorboat|motorcycle|mug|office furniture|passenger train|pistol
    printer|rocket|rug|satellite|shirt|signboard|sofa|spacecraft|spectacles|spoon|stocking|telescope
    tent|tower|train|tights|trouser|uniform|vest|watch|magazine|soup|stew|hamburger|potato|cabbage
    pepper|apple|berry|wine|coffee|reef|spring|athlete|orchid|power saw|ax|drill|light|sign
    military vehicle|fence|dwelling|religious residence
    """.replace("\n    ", "|")
    .strip("| ")
    .split("|")
)


@functools.cache
def plain_categories() -> tuple[Category, ...]:
    """Categories that may name clusters: worth saying, with a name that is plain; the wider first.

    Of several that hold the very same classes only the widest is there: the model knows one kind of
    kangaroo, a wallaby, and means all of them.
    """
    found: dict[tuple[int, ...], Category] = {}
    for one in sorted(category_tree(), key=lambda one: (-len(one.classes), _depth(one), one.id)):
        plain = one.number is not None or one.name in PLAIN
        if plain and one.classes and worth_saying(one):
            found.setdefault(one.classes, one)
    return tuple(found.values())


def _depth(category: Category) -> int:
    return len(category_tree().ancestors(category))
