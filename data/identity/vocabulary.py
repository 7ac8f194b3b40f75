"""Words in titles that number a part of a work or tell one recording of a song from another."""

OF_RECORDINGS = (
    "live vivo directo dal ao concert concerto koncert konzert public концерт концерта живой ライブ ライヴ "
    "라이브 现场 現場 unplugged session sessions demo acoustic acoustique acustico akustik instrumental karaoke "
    "remix mix edit dub vip bootleg mashup medley cover tribute style performed reprise mono take outtake alternate "
    "alternative extended short long single radio club cappella acapella orchestral piano strings re recorded "
    "rerecorded rework slowed reverb sped nightcore taylors clean censored version vocal backing commentary "
    "interview rehearsal english spanish french german italian japanese korean chinese portuguese stripped "
    "unreleased"
)
RECORDING_WORDS = frozenset(OF_RECORDINGS.split())
"Words that tell one recording of a song from another. A word too many costs a match by likeness, no more."
CUTS = frozenset({"radio", "single", "edit", "mix", "album", "short", "long"})
FILLERS = frozenset({"version", "versión", "versao", "versione"})
PARTS, COUNTED_THINGS = (
    "part parts pt pts teil parte partie часть",
    "chapter act book episode scene movement mvt variation kapitel akt buch track op vol",
)
COUNTED = dict.fromkeys(PARTS.split(), "part") | {word: word for word in COUNTED_THINGS.split()} | {"volume": "vol"}
"Words before a number, however it is written."
NUMBER_SIGNS = frozenset({"no", "nr", "num", "number", "numero", "n", "№"})
SPELLED_OUT = "one two three four five six seven eight nine ten"
SPELLED = {word: str(number) for number, word in enumerate(SPELLED_OUT.split(), start=1)}
