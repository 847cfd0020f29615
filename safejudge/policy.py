"""Policy: every choice that can change a verdict, and the presets that have a name.

A policy is data: it is written into every result by its digest. `default` is ours, `clue` is the
published Algorithm 1 (arXiv 2501.00192, sec. 3.6), `clue-tree` its thresholds over the whole tree.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from safejudge.types import SparseRecord

Share = Annotated[float, Field(ge=0, le=1)]

_LATER = ("every_frame", "frame_seed", "max_caption_tokens", "cut_captions", "confirm",
          "mirror", "shared_reasoning")  # fmt: skip
"""Settings that version 0.1.0 did not have."""
_THEN = {"region_under_none": True, "second_look": False, "confirm": False}
"""Settings that it did not have either, and how it behaved."""
_CASCADE = {True: "reason", False: "undecided"}
"""What an open leaf meant by the switch that stood in the place of `open_means`."""


class Policy(SparseRecord):
    """Every choice that can change a verdict, in one place; defaults live here and only here."""

    SPARSE: ClassVar[frozenset[str]] = frozenset({"escalate_below", "never_skipped"})

    name: str = "default"
    """What reports call it."""

    # Which stages run.
    tree: bool = True
    """Evaluate the condition tree; False flattens a rule to the published AND list."""
    relevance: bool = True
    """Skip rules whose text is too unlike the picture (needs a dual encoder)."""
    relevance_threshold: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Ask a rule if its cosine similarity is above this; None: what is stated for the encoder
    (`Judge` puts it here)."""
    always_asked: Annotated[int, Field(ge=0)] = 1
    """So many rules, the likest, are asked however unlike the picture: no picture is safe because
    a filter looked at it alone (CLUE: 0)."""
    never_skipped: tuple[str, ...] = ()
    """Ids of rules that are asked however unlike the picture. `Judge` adds those that a distilled
    filter did not learn, or not as they stand."""
    prior: bool = True
    """Compare with the language prior p0; False takes 1/2 for every statement's prior."""
    crop: bool = True
    """Look at small objects in a crop (needs a detector)."""
    region: bool = False
    """Compare with the picture without the central object (needs a detector), as Algorithm 1 does.
    Where it decided on drawn scenes it was wrong more often than right (`benchmarks`)."""
    region_under_none: bool = False
    """Put exceptions to the region test too. It can only say yes, which under `none` can only hide
    a violation; CLUE knows no exceptions, so its thresholds over the tree make no difference."""
    second_look: bool = True
    """Look without its caption at a rule that an image does not violate with it; the worse counts,
    so no caption buys a verdict. False: the caption is trusted."""
    confirm: bool = True
    """Ask once more what makes a rule violated, where the constitution says how: by a choice
    between a statement and its near misses (`contrast`), and in other words (`reworded`). The
    lowest score counts."""
    mirror: bool = False
    """Ask it of the mirrored picture too. Where that is not a yes as well, the statement is open:
    words in a picture cannot be read in a mirror, so it rejects nothing."""
    open_means: Literal["reason", "undecided", "no"] = "reason"
    """What a precondition is whose probabilities lie between the bounds: reasoned through,
    undecided, or not satisfied. Earlier files say `cascade`: true for the first, false for the
    second."""

    # In which order, and how much.
    locate_first: bool = False
    """Run the detector before any test, so that the crop stands in for the picture from the start
    (Algorithm 1); False: only for what the full view leaves undecided."""
    reason_last: bool = True
    """Ask every cheap question of a rule before reasoning about any (False: in listed order)."""
    exhaustive: bool = False
    """Ask every precondition of every rule, so that every score is exact. Outcomes stay: a rule
    that the relevance filter would have skipped is asked, and counts for nothing."""

    # The tests.
    reject_factor: Share = 0.3
    """No when M - p0 < -reject_factor * p0 (CLUE: 0.3)."""
    accept_factor: Share = 0.8
    """Yes when M - p0 > accept_factor * (1 - p0) (CLUE: 0.8)."""
    region_margin: Share = 0.6
    """Yes when M - M(region removed) > region_margin (CLUE: 0.6)."""
    minimum_confidence: Share = 0.05
    """A box the detector is less sure of is no box (CLUE: 0.05)."""
    crop_area: Share = 0.01
    """An object that covers less of the picture is looked at in a crop (CLUE: 1 %)."""
    fill: Literal["surround", "grey"] = "surround"
    """What a removed region is filled with: the mean colour around it, or mid-grey."""
    minimum_label_mass: Share = 0.5
    """Below this P(yes) + P(no) a read is no answer; 1/2 stands for such a prior."""
    unreadable_reasoning: Literal["undecided", "no"] = "undecided"
    """What a reply means that is no Yes and no No: outside the schema, or Unsure."""
    escalate_below: Annotated[float, Field(gt=0, le=20)] | None = None
    """Log-odds: what is decided with a margin of a smaller size goes to the engine of
    `--escalate-to` too; None: only what stays undecided does."""

    # Images.
    background: Literal["worst", "white", "black"] = "worst"
    """What transparent images are judged on; `worst` judges on both and keeps the worse."""
    max_frames: Annotated[int, Field(ge=1)] | None = 8
    """Most frames sampled from an animated image; None: every one."""
    every_frame: bool = False
    """An animation of which not every frame was looked at is undecided, unless it is unsafe."""
    frame_seed: Annotated[str, Field(repr=False)] = ""
    """Decides with the file's content which frames are sampled. A service keeps a long random one
    to itself, so that nobody can try out beforehand where a frame goes unseen."""
    max_pixels: Annotated[int, Field(ge=1)] = 40_000_000
    """Larger images are a `Failure`; checked before decoding. What a file may take follows from
    it: twice so many pixels kept, 10 s of a processor and one for every 4 million, 1 GiB of
    addresses and 32 bytes for each (`images/README.md`)."""
    max_bytes: Annotated[int, Field(ge=1)] = 64 * 2**20
    """Larger files are a `Failure`; checked before decoding."""
    max_caption_tokens: Annotated[int, Field(ge=1)] = 512
    """A longer caption is not shown: the image is judged without it, and undecided unless it is
    unsafe."""
    cut_captions: bool = False
    """Show the beginning of a longer caption instead."""
    max_reasoning_tokens: Annotated[int, Field(ge=16, le=4096)] = 256
    """The free reasoning is cut there."""
    shared_reasoning: bool = False
    """Let frames that look the same share the reasoning about one of them (`method/alike.py`).
    Their probabilities stay each frame's own."""

    # What passes.
    allow_undecided: bool = False
    """Whether `Judge.allows` lets an undecided image pass."""
    allow_failures: bool = False
    """Whether `Judge.allows` lets an unreadable image pass."""

    @model_validator(mode="before")
    @classmethod
    def _read_cascade(cls, data: Any) -> Any:
        """Read what earlier files, and callers, say in a switch."""
        if not isinstance(data, dict) or "cascade" not in data:
            return data
        switch = data["cascade"]
        if not isinstance(switch, bool):
            raise ValueError(f"cascade is {switch!r}; write true or false, or open_means instead")  # noqa: TRY004 - pydantic passes on no other
        said = data.get("open_means", _CASCADE[switch])
        if (said == "reason") is not switch:
            raise ValueError(f"cascade={switch} and open_means={said!r} contradict each other")
        return {name: value for name, value in data.items() if name != "cascade"} | {
            "open_means": said
        }

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Take up what was pickled before `open_means` and later settings were fields."""
        fields = dict(state.get("__dict__") or {})
        if "cascade" in fields:
            fields["open_means"] = _CASCADE[fields.pop("cascade")]
        later = {
            "confirm": False, "mirror": False, "escalate_below": None, "shared_reasoning": False,
            "never_skipped": (),
        }  # fmt: skip
        fields = later | fields
        # A digest keeps the order, and is that of the same settings whenever they were pickled.
        ordered = {name: fields[name] for name in Policy.model_fields if name in fields}
        super().__setstate__(state | {"__dict__": ordered})

    @property
    def reasons(self) -> bool:
        """Whether what the probabilities leave open is reasoned through."""
        return self.open_means == "reason"

    @property
    def filters(self) -> bool:
        """Whether rules are compared with the picture before they are asked."""
        return self.relevance and self.relevance_threshold is not None

    @property
    def locates(self) -> bool:
        """Whether anything is done with the detector's boxes."""
        return self.crop or self.region

    def exhaustively(self) -> Policy:
        """Ask every precondition of every rule, so that every score is exact."""
        return self.model_copy(update={"exhaustive": True})

    def unfiltered(self) -> Policy:
        """Ask every rule, however unlike the picture: an encoder leaves none out."""
        return self.model_copy(update={"relevance": False, "relevance_threshold": None})

    def exact(self) -> Policy:
        """Ask everything and make nothing up: every score is one that was read."""
        policy = self.unfiltered().exhaustively()
        changed = {"unreadable_reasoning": "undecided"}
        if self.open_means == "no":
            changed["open_means"] = "undecided"
        return policy.model_copy(update=changed)

    def digest(self) -> str:
        """Sha256 (hex) of all settings.

        Settings that came later are left out while they have their default, so that a run which
        began before them goes on.
        """
        return _digest(
            self,
            {name for name in _LATER if getattr(self, name) == Policy.model_fields[name].default},
        )

    def as_of_0_1_0(self) -> tuple[Policy, str]:
        """Return the same settings as version 0.1.0 understood them, and its digest of them."""
        policy = self.model_copy(update=_THEN)
        return policy, _digest(policy, {*_LATER, *_THEN})

    @staticmethod
    def clue() -> Policy:
        """Algorithm 1 to the letter, on the flat form of each rule."""
        return Policy.clue_tree().model_copy(update={"name": "clue", "tree": False})

    @staticmethod
    def clue_tree() -> Policy:
        """Keep the thresholds and order of Algorithm 1, over the condition tree."""
        return Policy(
            name="clue-tree",
            always_asked=0,
            region=True,
            region_under_none=True,
            second_look=False,
            confirm=False,
            locate_first=True,
            reason_last=False,
            minimum_label_mass=0.0,
            unreadable_reasoning="no",
        )


def _digest(policy: Policy, exclude: set[str]) -> str:
    """Sha256 (hex) of the settings but those; what `cascade` could say is said in its words."""
    text = policy.model_dump_json(exclude=exclude)
    if policy.open_means != "no":
        switch = "true" if policy.reasons else "false"
        text = text.replace(f'"open_means":"{policy.open_means}"', f'"cascade":{switch}', 1)
    return hashlib.sha256(text.encode()).hexdigest()


POLICIES = {"default": Policy, "clue": Policy.clue, "clue-tree": Policy.clue_tree}
"""The policies that have a name."""
EARLIER = {"default": (Policy(region=True),)}
"""What they were before, so that records made then are known."""
