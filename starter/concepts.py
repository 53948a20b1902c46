"""The starter world's nouns: objects, shapes, colours, and the rule that holds combinations back."""

from __future__ import annotations

import random
from types import MappingProxyType

COLOURS = MappingProxyType(
    {
        "red": (222, 40, 46),
        "orange": (245, 140, 30),
        "yellow": (252, 212, 40),
        "green": (50, 165, 70),
        "blue": (45, 105, 225),
        "purple": (130, 70, 190),
        "pink": (248, 140, 185),
        "brown": (125, 80, 45),
        "black": (25, 25, 28),
        "gray": (135, 135, 140),
    }
)
WHITE = (252, 252, 252)
BACKGROUNDS = ("white", "red", "orange", "yellow", "green", "blue", "purple", "pink", "gray")
SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "ring", "cross")

_FIRST = """red apple=apple|green apple|cat face=cat|dog face=dog|panda|pig face=pig|fox|lion|tiger face=tiger
bear|koala|frog|monkey face=monkey|rabbit face=rabbit|mouse face=mouse|cow face=cow|unicorn|penguin
owl|chicken|turtle|octopus|crab|tropical fish=fish|spouting whale=whale|butterfly
lady beetle=ladybug|honeybee=bee|snail|elephant|banana|pizza|rocket|pineapple|strawberry|hamburger
sunflower|tomato|carrot|grapes|watermelon|lemon|pear|peach|cherries|avocado|eggplant
ear of corn=corn|broccoli|mushroom|bread|cheese wedge=cheese|french fries|hot dog|taco
doughnut=donut|cookie|birthday cake=cake|cupcake|soft ice cream=ice cream|lollipop
hot beverage=coffee|beer mug=beer|wine glass|egg|house|automobile=car|bus|airplane|sailboat=boat
bicycle|sun with face=sun|full moon|crescent moon=moon|cloud|rainbow|umbrella|snowflake|fire
droplet=water drop|soccer ball|basketball|guitar|trumpet|drum|crown|glasses|top hat=hat|key|hammer
scissors|pencil|light bulb|camera|alarm clock=clock|bell|wrapped gift=gift|balloon|teddy bear|trophy
bomb|gem stone=gem|money bag|envelope=letter|anchor|skull|ghost|alien|robot|jack-o-lantern=pumpkin
snowman|christmas tree|cactus|palm tree|evergreen tree=tree|rose|tulip|four leaf clover=clover
maple leaf=leaf|smiling face with sunglasses=cool face|grinning face=happy face|angry face"""
_SECOND = """horse face=horse|wolf|gorilla|giraffe|zebra|hippopotamus=hippo|rhinoceros=rhino|camel|kangaroo
ewe=sheep|goat|hamster|hedgehog|bat|duck|eagle|swan|flamingo|peacock|parrot|crocodile|snake
dragon face=dragon|t-rex=dinosaur|dolphin|shark|blowfish|shrimp|squid|lobster|spider|scorpion|ant
bug=caterpillar|kiwi fruit=kiwi|coconut|mango|potato|onion|garlic|hot pepper=chili pepper|cucumber
croissant|pretzel|pancakes|waffle|bacon|sandwich|burrito|sushi|dumpling|popcorn|pie
chocolate bar=chocolate|candy|honey pot=honey|glass of milk=milk|teapot|cooking=fried egg|spaghetti
delivery truck=truck|tractor|motorcycle|helicopter|police car|fire engine=fire truck|ambulance|taxi
locomotive=train|ship|flying saucer=ufo|tent|castle|church|snow-capped mountain=mountain|volcano
comet|tennis=tennis ball|baseball|american football=football|volleyball|bowling|violin|saxophone
musical keyboard=piano|microphone|headphone=headphones|telephone|laptop|television|watch
hourglass done=hourglass|candle|closed book=book|newspaper
magnifying glass tilted left=magnifying glass|locked=lock|axe|screwdriver|wrench|gear|magnet
microscope|telescope|chair|bed|door|bathtub|t-shirt|dress|jeans|backpack|running shoe=shoe
game die=dice|puzzle piece=puzzle|kite|mobile phone=phone|battery|shopping cart"""


def _table(text: str) -> dict[str, str]:
    pairs = (entry.partition("=") for line in text.splitlines() for entry in line.split("|"))
    return {name or label: label for label, _, name in pairs}


FIRST_OBJECTS = MappingProxyType(_table(_FIRST))
"""The study's 122 objects: our name to the picture label of the emoji data."""
OBJECTS = MappingProxyType({**_table(_FIRST), **_table(_SECOND)})
"""All objects, most common first."""


def colour(name: str) -> tuple[int, int, int]:
    """RGB 0..255 of a colour word; `white` is the plain page."""
    return WHITE if name == "white" else COLOURS[name]


def shade(name: str, strength: float = 1.0) -> tuple[int, int, int]:
    """RGB of a colour word that is meant more or less: below 1 mixed with the white page, above 1 further from gray."""
    rgb = colour(name)
    if strength <= 1:
        mixed = [strength * value + (1 - strength) * WHITE[0] for value in rgb]
    else:
        gray = sum(rgb) / 3
        mixed = [value + 1.5 * (strength - 1) * (value - gray) for value in rgb]
    red, green, blue = (max(0, min(255, round(value))) for value in mixed)
    return red, green, blue


def held_out(*parts: str | None) -> bool:
    """True for about one combination in ten; those are never trained, on any machine and in any session.

    The words themselves seed the draw, so that adding a concept moves no other combination.
    """
    return random.Random("".join(str(part) for part in parts)).random() < 0.1
