"""HamNoSys 4 read: from a string of its symbols to a tree of postures and movements.

`hamnosys_tree` has the symbols and what the tree is made of; here is the grammar. What it knows but we do not
perform is kept in `Notation.simplified`, never passed over in silence. `hamnosys_sign` makes the motion.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from stable_signer.errors import StableSignerError
from stable_signer.slp_moe.hamnosys_tree import Action, Notation, Part, Posture, Site, Symbol, tokens
from stable_signer.slp_moe.handshapes import FINGERS
from stable_signer.slp_moe.places import direction

DEEPEST = 12  # brackets within brackets


def parse(text: str) -> Notation:
    """Read a notation. Raises StableSignerError that names the symbol that cannot be read, and its place."""
    reader = _Reader(tokens(text))
    parts = [reader.part()]
    while reader.kind == "plus":
        reader.take()
        parts.append(reader.part())
    if reader.kind:
        raise reader.refusal("stands where nothing can follow")
    return Notation(tuple(parts), tuple(dict.fromkeys(reader.simplified)))


POSTURE_KINDS = {
    *("shape", "fingers", "palm", "place", "side", "hand", "digit", "on", "contact", "apart", "behind"),
    "nondominant",
}
MODIFIERS = {"size", "pace", "arc", "ripple", "start", "turn", "halt", "between", "repeat", "alternating"}


@dataclass
class _Reader:
    row: tuple[Symbol, ...]
    at: int = 0
    depth: int = 0
    simplified: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Of the next symbol, '' at the end; symbols that are not performed are noted and passed."""
        while self.at < len(self.row) and self.row[self.at].kind == "lax":
            self.simplified.append(self.row[self.at].value)
            self.at += 1
        return self.row[self.at].kind if self.at < len(self.row) else ""

    def ahead(self, steps: int) -> Symbol | None:
        rest = [s for s in self.row[self.at :] if s.kind != "lax"]
        return rest[steps] if steps < len(rest) else None

    def _joins(self, *kinds: str) -> bool:
        """Whether `between` is next, with a symbol of one of these kinds behind it."""
        after = self.ahead(1) if self.kind == "between" else None
        return after is not None and after.kind in kinds

    def take(self) -> Symbol:
        if not self.kind:
            raise StableSignerError(
                "the HamNoSys notation ends too early: something is missing after its end"
            )
        symbol = self.row[self.at]
        self.at += 1
        return symbol

    def refusal(self, why: str) -> StableSignerError:
        name = self.row[self.at].name if self.at < len(self.row) else "the end"
        return StableSignerError(
            f"symbol {self.at + 1} of the HamNoSys notation, {name}, {why}: mend it there"
        )

    def enter(self) -> str:
        """Go into a bracket; what kind it is."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.refusal("is nested too deep")
        return self.take().value

    def leave(self, kind: str) -> None:
        """Go out of a bracket. Brackets of the wrong kind are closed all the same, as in some corpora."""
        if self.kind != "close":
            raise self.refusal("stands where a bracket should be closed")
        if self.take().value != kind:
            self.simplified.append("a bracket closed by another kind")
        self.depth -= 1

    # --- a sign

    def part(self) -> Part:
        symmetry = self.take().value if self.kind == "symmetry" else ""
        alternating = not symmetry and self.kind == "alternating"
        if alternating:
            self.take()
        while symmetry and (
            self.kind in ("size", "alternating") or (self.kind, self._value) == ("bend", "straight")
        ):
            alternating |= self.kind != "bend"
            if self.take().kind != "alternating":
                self.simplified.append("a further mirroring of the hands")
        posture = self.posture()
        if posture.shape is None and (posture.other is None or posture.other.shape is None):
            raise self.refusal("comes before any handshape")
        actions: list[Action] = []
        while self.kind not in ("", "plus", "close"):
            if self.kind == "alternating":
                self.take()
                alternating = True
            else:
                self.action(actions)
        return Part(symmetry, alternating, posture, tuple(actions))

    @property
    def _value(self) -> str:
        return self.row[self.at].value.split(" ")[0] if self.kind else ""

    # --- postures

    def posture(self) -> Posture:
        """Everything that is said of hands from here on."""
        found = Posture()
        while self.kind in POSTURE_KINDS or (self.kind == "open" and self._opens_posture()):
            found = self._group(found) if self.kind == "open" else self._said(found)
            if found.sites and self.kind == "bend":
                self.take()
                self.simplified.append("a finer place on the body")
        return found

    def _opens_posture(self) -> bool:
        """Whether the bracket ahead holds a posture, not an action."""
        n = 1
        while (symbol := self.ahead(n)) is not None and symbol.kind == "open":
            n += 1
        return symbol is not None and symbol.kind in {*POSTURE_KINDS, "plus"}

    def _said(self, found: Posture) -> Posture:
        """One statement more."""
        kind = self.kind
        if kind == "shape":
            return replace(found, shape=self._shapes())
        if kind in ("fingers", "palm"):
            way = self._directions(kind)
            return replace(found, fingers=way) if kind == "fingers" else replace(found, palm=way)
        if kind == "side" and not self._leads_a_place():
            self.take()
            self.simplified.append("a side of a point of the hand")
            return found
        if kind in ("place", "side"):
            return replace(found, sites=(*found.sites, *self._places()))
        if kind in ("hand", "digit", "on"):
            point = self._point()
            if found.sites and not found.sites[-1].hand:
                return replace(found, own=point)  # a place is said already, so this is what is there
            return replace(found, sites=(*found.sites, point))
        if kind == "contact":
            symbol = self.take()
            if symbol.name in ("haminterlock", "hamcross"):
                self.simplified.append("how the hands interlock or cross")
            near = float(symbol.value)
            if found.contact is not None:
                near = min(near, found.contact)
            return replace(found, contact=near, met_first=found.met_first or not found.sites)
        if kind == "apart":
            return replace(found, apart=float(self.take().value))
        if kind == "behind":
            self.take()
            return replace(found, behind=True)
        self.take()  # the left hand alone
        return replace(found, other=self.posture())

    def _group(self, found: Posture) -> Posture:
        """A bracket of postures: of both hands, or `right + left`, or the point of the hand that touches."""
        kind = self.enter()
        if kind == "alt":
            found = self._merged(found, self.posture())
            self._skip_alternatives()
            return found
        right = Posture() if self.kind == "plus" else self.posture()
        left = None
        if self.kind == "plus":
            self.take()
            left = Posture() if self.kind == "close" else self.posture()
        self.leave(kind)
        if left is not None:
            return _both(found, right, left)
        if kind == "seq" and right.sites and all(s.hand for s in right.sites):
            right = replace(right, own=right.sites[0], sites=())  # what touches, in its own brackets
        return self._merged(found, right)

    def _merged(self, first: Posture, then: Posture) -> Posture:
        sites, other = (*first.sites, *then.sites), then.other or first.other
        return replace(first.overlaid(then), sites=sites, other=other)

    def _skip_alternatives(self) -> None:
        """`{this|that}`: the first is performed, what comes after it is passed."""
        self.simplified.append("an alternative form")
        inner = 0
        while self.kind and not (self.kind == "close" and inner == 0):
            inner += {"open": 1, "close": -1}.get(self.take().kind, 0)
        self.leave("alt")

    def _shapes(self) -> str:
        """One handshape, or two with `between` between them."""
        shape = self._shape()
        if self.kind == "between":
            self.take()
            shape = _halfway_shape(shape, self._shape())
        return shape

    def _directions(self, kind: str) -> np.ndarray:
        """One direction, or the middle of several."""
        total = direction(self.take().value)
        while self.kind == kind or self._joins(kind):
            if self.kind == "between":
                self.take()
            total = total + direction(self.take().value)
        size = float(np.linalg.norm(total))
        if size < 1e-6:
            raise self.refusal("follows two directions that cancel out")
        return np.asarray(total / size)

    # --- handshapes

    def _shape(self) -> str:
        if self.kind != "shape":
            raise self.refusal("stands where a handshape should be")
        expression, *settings = self.take().value.split(" ")
        table = dict(s.split("=", 1) for s in settings)
        bendable = table["bent"].split(",")
        bends: list[tuple[tuple[str, ...], dict[str, str], str]] = []
        named: list[str] = []
        thumb = ""
        while self.kind in ("thumb", "bend", "digit"):
            if self.kind == "thumb":
                thumb = self.take().value
            elif self.kind == "bend":
                fingers, how = self._bend()
                bends.append((tuple(bendable), how, fingers))
            else:
                if not self._bent_digit(bends, named):
                    break
        return _expression(expression, table, thumb, bends, named)

    def _bend(self) -> tuple[str, dict[str, str]]:
        name, *donors = self.take().value.split(" ")
        return name, dict(d.split("=", 1) for d in donors)

    def _bent_digit(self, bends: list[tuple[tuple[str, ...], dict[str, str], str]], named: list[str]) -> bool:
        """A finger named after a handshape: bent, or chosen; False if it is where the hand touches."""
        after = self.ahead(1)
        if after is not None and after.kind == "on":
            beyond = self.ahead(2)
            if beyond is None or beyond.kind != "digit":
                return False
            self.take(), self.take(), self.take()
            self.simplified.append("fingers that cross")
            return True
        finger = self.take().value.split(" ")[0]
        if self.kind == "bend":
            name, how = self._bend()
            if finger == "thumb":
                self.simplified.append("a bend of the thumb")
            else:
                bends.append(((finger,), how, name))
        elif finger != "thumb":
            named.append(finger)
        if self._joins("digit"):
            self.take()
        return True

    # --- where

    def _places(self) -> tuple[Site, ...]:
        """A place with its side, or two with `between`."""
        first = self._place()
        if self._joins("place", "side"):
            self.take()
            return first, self._place()
        return (first,)

    def _place(self) -> Site:
        """A place; the mark of the side stands before it for the left, behind it for the right."""
        side, beside = "", False
        if self.kind == "side":
            side, beside = "left", self.take().value == "beside"
        if self.kind != "place":
            raise self.refusal("stands where a place of the body should be")
        name = self.take().name
        if self.kind == "side" and not side and not self._leads_a_place():
            side, beside = "right", self.take().value == "beside"
        return Site(name, side=side, beside=beside)

    def _leads_a_place(self) -> bool:
        """Whether the mark of a side ahead belongs to a place that comes after it."""
        after = self.ahead(1)
        return after is not None and after.kind == "place"

    def _point(self) -> Site:
        """A point of the hand: of its palm and arm, or of one or more fingers."""
        where, fingers, site = "tip", [], None
        while self.kind in ("hand", "digit", "on") or self._joins("hand", "digit"):
            symbol = self.take()
            if symbol.kind == "on":
                where = symbol.value
            elif symbol.kind == "digit":
                fingers.append(symbol.value.split(" ")[0])
            elif symbol.kind == "hand" and site is None:
                name, *out = symbol.value.split(" ")
                site = Site(name, True, out=(float(out[0]), float(out[1]), float(out[2])))
                if name == "forearm" and symbol.name != "hamlowerarm":
                    self.simplified.append("the elbow, taken as the forearm")
            if symbol.kind == "hand" and self.kind == "hand":
                break
        if site is not None and not fingers:
            return site
        return Site(
            _point_name(fingers, where), True, out=(0.0, 0.3, 1.0) if where == "pad" else (0.0, 1.0, 0.0)
        )

    # --- what they do

    def action(self, row: list[Action]) -> None:
        """Read one action and append it, or change the last one by what follows it."""
        kind = self.kind
        if kind == "open":
            self._bracket(row)
        elif kind in ("move", "circle", "play", "stir", "still"):
            row.append(self._movement())
        elif kind == "replace":
            self.take()
            row.append(Action("replace", posture=self.posture()))
        elif kind in POSTURE_KINDS:
            self._reach(row, self.posture())
        elif kind in MODIFIERS:
            self._modify(row)
        else:
            raise self.refusal("stands where a movement should be")

    def _bracket(self, row: list[Action]) -> None:
        if self._opens_posture():
            self._reach(row, self.posture())
            return
        kind = self.enter()
        if kind == "alt":
            inner: list[Action] = []
            while self.kind not in ("", "close", "alternative"):
                self.action(inner)
            self._skip_alternatives()
            row.extend(inner)
            return
        first = self._actions()
        if self.kind == "plus":
            self.take()
            second = self._actions()
            row.append(Action("hands", parts=(_gather(kind, first), _gather(kind, second))))
        else:
            row.append(_gather(kind, first))
        self.leave(kind)

    def _actions(self) -> list[Action]:
        row: list[Action] = []
        while self.kind not in ("", "plus", "close"):
            self.action(row)
        return row

    def _movement(self) -> Action:
        symbol = self.take()
        if symbol.kind == "still":
            return Action("still")
        if symbol.kind == "play":
            return Action("play", what=symbol.value)
        way = direction(symbol.value)
        if self._joins(symbol.kind):
            self.take()
            both = way + direction(self.take().value)
            length = float(np.linalg.norm(both))
            way = both / length if length > 1e-6 else way
        return Action(
            "circle" if symbol.kind == "stir" else symbol.kind,
            way,
            size=0.4 if symbol.kind == "stir" else 1.0,
        )

    def _reach(self, row: list[Action], posture: Posture) -> None:
        """Where the last movement ends; a posture by itself is simply taken up."""
        if row and row[-1].kind in ("move", "circle") and row[-1].posture is None:
            row[-1].posture = posture
        else:
            row.append(Action("replace", posture=posture))

    def _modify(self, row: list[Action]) -> None:
        symbol = self.take()
        if not row and symbol.kind == "repeat" and self.depth == 0:
            row.append(Action("tap"))  # a repeated touch
        if not row:
            self.simplified.append("how a posture is held")
            return
        last = row[-1]
        if symbol.kind == "size":
            if last.arc is not None:
                last.arc_size = float(symbol.value)
            else:
                last.size *= float(symbol.value)
        elif symbol.kind == "pace":
            last.pace *= float(symbol.value)
        elif symbol.kind == "arc":
            last.arc = direction(symbol.value)
        elif symbol.kind == "ripple":
            last.ripple = True
        elif symbol.kind == "start":
            last.start = direction(symbol.value) if last.start is None else last.start
        elif symbol.kind == "turn":
            pass  # one whole turn: what a circle is anyway
        elif symbol.kind == "halt":
            last.hold += float(symbol.value)
        elif symbol.kind == "repeat":
            mode, times = symbol.value.split(" ")
            row[-1] = Action("again", parts=(last,), mode=mode, times=int(times))
        elif symbol.kind == "alternating":
            self.simplified.append("an alternation of part of a movement")
        else:
            self.simplified.append("something between two movements")


def _gather(kind: str, actions: list[Action]) -> Action:
    if len(actions) == 1:
        return actions[0]
    if not actions:
        return Action("still")
    return Action("together" if kind == "par" else "row", parts=tuple(actions))


def _both(found: Posture, right: Posture, left: Posture) -> Posture:
    """What a bracket `right + left` adds. Two points of hands: the right's is brought to the left's."""
    points = [p.sites[0] for p in (right, left) if p.sites and p.sites[0].hand and p.shape is None]
    if len(points) == 2:
        met = min((c for c in (right.contact, left.contact) if c is not None), default=None)
        return replace(
            found,
            own=points[0],
            sites=(*found.sites, points[1]),
            contact=met if met is not None else found.contact,
        )
    return replace(found.overlaid(right), other=(found.other or Posture()).overlaid(left))


def _halfway_shape(first: str, second: str) -> str:
    return first if first == second else f"{first}/{second}" if "/" not in first + second else first


def _point_name(fingers: list[str], where: str) -> str:
    """The point of the hand for fingers and which bit of them."""
    if len(fingers) > 2 or not fingers:
        return {"joint": "knuckles", "base": "inside", "pad": "fingers", "side": "radial"}.get(where, "tips")
    finger = fingers[0]
    if set(fingers) == {"thumb", "index"}:
        return "pinch"
    if where in ("joint", "base") and finger != "thumb":
        return {"joint": "knuckles", "base": "inside"}[where]
    return f"{finger}pad" if where == "pad" else finger


def _expression(
    base: str,
    table: dict[str, str],
    thumb: str,
    bends: list[tuple[tuple[str, ...], dict[str, str], str]],
    named: list[str],
) -> str:
    """A handshape as an expression over our table."""
    parts: dict[str, str] = {}
    whole, *set_already = base.split(":")
    for _, _, name in [b for b in bends if len(b[0]) != 1 or table["bent"] == "index"][:1]:
        if name in table:  # the shape has a form of its own for this bend
            whole, *set_already = table[name].split(":")
            bends = [b for b in bends if b[2] != name]
    parts.update(dict(p.split("=", 1) for p in set_already))
    if thumb:
        parts["thumb"] = table[thumb]
    if named:
        parts.update(_chosen(table["digits"], named, whole, parts))
    chosen = [f for f in named if table["digits"] == "select"]
    for fingers, how, _ in bends:
        for finger in chosen if chosen and len(fingers) == len(table["bent"].split(",")) else fingers:
            parts[finger] = how[finger]
    return ":".join([whole, *(f"{f}={parts[f]}" for f in FINGERS if f in parts)])


def _chosen(digits: str, named: list[str], whole: str, parts: dict[str, str]) -> dict[str, str]:
    """What the fingers named without a bend do to the shape."""
    if digits == "select":
        return {f: "5" if f in named else "S" for f in FINGERS[1:]}
    if digits == "fold":
        return dict.fromkeys(named, "S")
    source = parts.get("index", whole)
    pinching = f"{source}.index" if "." not in source else source
    out = dict.fromkeys(named, pinching)
    if "index" not in named:
        out["index"] = parts.get("middle", f"{whole}.middle")
    return out
