"""Words of the synthetic catalogue: 24 topics in 6 worlds, with what their titles and tags are made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """One taste cluster.

    Attributes:
        world: Topics of one world are liked together.
        name: Readable name.
        nouns: What items of the topic are.
        words: What is said of them; word n belongs to style n mod 3, which makes 4 a style.
        tags: Tags, likewise, 3 a style.
    """

    world: str
    name: str
    nouns: tuple[str, ...]
    words: tuple[str, ...]
    tags: tuple[str, ...]


WORLDS = ("music", "outdoors", "kitchen", "craft", "nature", "play")

BRANDS: dict[str, tuple[str, ...]] = {
    "music": ("Lowlight", "Needle & Horn", "Halftone", "Ostinato"),
    "outdoors": ("Northfall", "Cairn", "Drift Supply", "Switchback"),
    "kitchen": ("Hearthstone", "Crumb & Co", "Slow Table", "Ember"),
    "craft": ("Maker's Row", "Loop", "Burl", "Kiln Yard"),
    "nature": ("Green Lane", "Moss", "Hedgerow", "Wren"),
    "play": ("Meeple House", "Phosphor", "Orrery", "Sideline"),
}

ADJECTIVES = (
    "classic",
    "compact",
    "complete",
    "everyday",
    "fine",
    "little",
    "modern",
    "practical",
    "simple",
    "vintage",
)
GENERIC_NOUNS = ("assortment", "bundle", "collection", "companion", "edition", "pick", "set", "surprise")
GENERAL_TAGS = ("bestseller", "gift idea", "handmade", "beginner", "limited", "second hand", "weekend", "winter")


def _topic(world: str, name: str, *, nouns: str, words: str, tags: str) -> Topic:
    return Topic(world, name, tuple(nouns.split()), tuple(words.split()), tuple(tags.split(", ")))


TOPICS = (
    _topic(
        "music",
        "jazz vinyl",
        nouns="pressing session reissue LP",
        words="modal smoky bebop ballad late-night hard-bop trio mono brass cool blue swing",
        tags="jazz, vinyl, bebop, ballads, late night, hard bop, small group, mono cut, brass",
    ),
    _topic(
        "music",
        "synth gear",
        nouns="synthesizer sequencer module keyboard",
        words="analog modular digital polyphonic patchable granular warm semi-modular wavetable mono voltage drum",
        tags="synth, modular, wavetable, analog, eurorack, granular, polyphonic, patch cables, digital",
    ),
    _topic(
        "music",
        "acoustic guitar",
        nouns="guitar capo strings songbook",
        words="fingerstyle spruce flamenco steel-string mahogany nylon folk parlor classical blues cedar slow",
        tags="guitar, folk, flamenco, steel string, blues, nylon, fingerstyle, parlor size, classical",
    ),
    _topic(
        "music",
        "film scores",
        nouns="soundtrack score suite recording",
        words="orchestral noir minimal sweeping smoky ambient epic jazz piano choral late-night drone",
        tags="soundtrack, noir, ambient, orchestra, crime film, minimalism, epic, jazz score, piano",
    ),
    _topic(
        "outdoors",
        "trail running",
        nouns="shoe vest belt jacket",
        words="grippy breathable ultra muddy light cushioned rocky windproof long-distance wet summer alpine",
        tags="trail running, road to trail, ultra, mud, lightweight, race day, grip, windproof, endurance",
    ),
    _topic(
        "outdoors",
        "alpine climbing",
        nouns="rope harness crampon helmet",
        words="dynamic bouldering icy double indoor mixed dry chalked steep alpine gym winter",
        tags="climbing, bouldering, ice climbing, alpine, gym, mixed routes, ropes, chalk, north face",
    ),
    _topic(
        "outdoors",
        "sea kayaking",
        nouns="kayak paddle drybag sprayskirt",
        words="touring folding rough-water expedition inflatable carbon coastal river tidal slow light wet",
        tags="kayak, packraft, surf zone, touring, river, rough water, coast, folding boat, expedition",
    ),
    _topic(
        "outdoors",
        "bikepacking",
        nouns="bag rack tent tyre",
        words="gravel road loaded dusty steel overnight tubeless commuter long-distance rocky light waterproof",
        tags="bikepacking, commuting, gravel, touring, city, overnighter, tubeless, fenders, ultra",
    ),
    _topic(
        "kitchen",
        "sourdough baking",
        nouns="loaf starter banneton flour",
        words="crusty sweet rye open-crumb enriched wholegrain slow laminated dark wild stone-milled country",
        tags="sourdough, pastry, rye, crust, brioche, wholegrain, wild yeast, lamination, dark bread",
    ),
    _topic(
        "kitchen",
        "espresso brewing",
        nouns="grinder tamper kettle beans",
        words="single-origin filter dark washed pour-over roasted lever hand ristretto fruity slow warm",
        tags="espresso, filter coffee, dark roast, single origin, pour over, lever machine, crema, hand brew, barista",
    ),
    _topic(
        "kitchen",
        "fermentation",
        nouns="crock jar culture kit",
        words="salty bubbly aged wild sparkling umami spicy fruity slow crunchy tart dark",
        tags="fermentation, kombucha, miso, kimchi, soda, koji, lacto, fruit vinegar, garum",
    ),
    _topic(
        "kitchen",
        "noodle cooking",
        nouns="broth noodles bowl wok",
        words="spicy egg cold rich durum brothless hand-pulled fresh chilled umami country summer",
        tags="noodles, pasta, cold noodles, ramen, fresh pasta, soba, hand pulled, semolina, summer bowl",
    ),
    _topic(
        "craft",
        "wood carving",
        nouns="knife spoon gouge blank",
        words="hooked green relief birch turned gothic forged hand oak sloyd spalted fine",
        tags="wood carving, turning, relief, spoon carving, lathe, chip carving, green wood, bowls, gothic",
    ),
    _topic(
        "craft",
        "hand knitting",
        nouns="yarn needles shawl pattern",
        words="chunky lace stranded merino cobweb nordic wool silk striped hand winter folk",
        tags="knitting, lace, colorwork, chunky, shawls, fair isle, merino, mohair, mittens",
    ),
    _topic(
        "craft",
        "pottery",
        nouns="glaze clay mug wheel",
        words="thrown coiled woodfired stoneware pinched ash porcelain slab smoky celadon rustic dark",
        tags="pottery, hand building, wood firing, wheel thrown, slab, ash glaze, stoneware, pinch pot, anagama",
    ),
    _topic(
        "craft",
        "leather work",
        nouns="wallet hide awl strap",
        words="veg-tanned tooled waxed bridle carved rugged saddle western dark hand country stamped",
        tags="leather, tooling, motorcycle, veg tan, western, waxed, saddle stitch, stamping, rugged",
    ),
    _topic(
        "nature",
        "herb garden",
        nouns="seeds planter trowel herbs",
        words="culinary medicinal indoor fragrant dried windowsill kitchen wild hydroponic summer bitter sprouted",
        tags="herbs, remedies, indoor garden, kitchen garden, tea herbs, hydroponics, basil, foraging, grow light",
    ),
    _topic(
        "nature",
        "bonsai",
        nouns="tree pot shears wire",
        words="twisted flowering tiny juniper maple mossy ancient autumn accent wild cascading moss",
        tags="bonsai, maples, kusamono, juniper, autumn color, accent plants, driftwood style, flowering, moss",
    ),
    _topic(
        "nature",
        "beekeeping",
        nouns="hive smoker frame honey",
        words="horizontal wild raw wooden native heather insulated solitary creamed log garden dark",
        tags="bees, wild bees, honey, top bar, bee hotel, mead, langstroth, pollinators, wax",
    ),
    _topic(
        "nature",
        "wild birds",
        nouns="feeder binoculars nestbox guide",
        words="migratory woodland coastal rare garden wading winter small long-distance raptor songbird light",
        tags="birding, garden birds, waders, migration, nest box, seabirds, twitching, songbirds, estuary",
    ),
    _topic(
        "play",
        "board games",
        nouns="game expansion deck insert",
        words="strategic cooperative quick asymmetric narrative filler heavy campaign party economic family dice",
        tags="board games, co-op, party game, euro game, campaign, filler, worker placement, storytelling, trivia",
    ),
    _topic(
        "play",
        "retro computing",
        nouns="computer cartridge joystick monitor",
        words="8-bit phosphor arcade tape text beige pixel terminal coin-op mechanical green digital",
        tags="retro computing, terminals, arcade, 8-bit, green screen, coin-op, demoscene, mainframe, pixel art",
    ),
    _topic(
        "play",
        "stargazing",
        nouns="telescope eyepiece mount atlas",
        words="lunar deep-sky solar planetary wide-field filtered refracting faint eclipse winter dark light",
        tags="astronomy, nebulae, sun, moon, galaxies, eclipse, planets, dark sky, solar filter",
    ),
    _topic(
        "play",
        "model trains",
        nouns="locomotive wagon track layout",
        words="steam electric narrow-gauge coal digital alpine branch-line modern forest country vintage logging",
        tags="model trains, electric era, narrow gauge, steam era, digital control, branch line, tram, logging, alpine",
    ),
)
