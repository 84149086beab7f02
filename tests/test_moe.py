"""SLP-MoE: residuals, gate and experts, flow matching, training, and motion made with them (tiny weights)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Run
from stable_signer.body import rotation
from stable_signer.body.motion import joined
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe import pairs as pr
from stable_signer.slp_moe import residual as rs
from stable_signer.slp_moe.clearance import kinematics
from stable_signer.slp_moe.compose import Composer
from stable_signer.slp_moe.condition import FEATURES, FIELDS, SignCondition, codes
from stable_signer.slp_moe.experts import PARTS
from stable_signer.slp_moe.lexicon import Lexicon, from_built
from stable_signer.slp_moe.manner import MANNERS, Manner, mix
from stable_signer.slp_moe.model import MoeConfig, SlpMoe, collate, smooth_noise
from stable_signer.slp_moe.perform import ExpertComposer
from stable_signer.slp_moe.priors import build_from_phonology
from stable_signer.slp_moe.schedule import schedule
from stable_signer.slp_moe.train import MoeRecipe, train
from stable_signer.slul.linker import Linker, bare_line, lines, neighbours
from stable_signer.slul.plan import Draft, Nonmanual, Plan, Sentence, Sign
from stable_signer.slul.planner import load_reader


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.load()


@pytest.fixture(scope="module")
def linker() -> Linker:
    return Linker(load_reader("ase"))


def tiny(parts: str = "four", **changes: object) -> SlpMoe:
    torch.manual_seed(0)
    model = SlpMoe(MoeConfig.preset("tiny", parts=parts, linker_width=128, **changes))
    for expert in model.experts.values():  # as if it had learned something
        torch.nn.init.normal_(expert.out.weight, std=0.02)
    model.scale.fill_(0.05)
    return model.eval()


@pytest.fixture(scope="module")
def moe() -> SlpMoe:
    return tiny()


def plan_of(lexicon: Lexicon, *glosses: str) -> Plan:
    signs = tuple(Sign(gloss=g) for g in glosses)
    return schedule(Draft(" ".join(glosses), "ase", signs, sentences=(("x", len(signs)),)), lexicon)


# --- residuals ---


def test_a_residual_leads_from_one_motion_to_another(lexicon: Lexicon) -> None:
    a, b = lexicon.prototype("WANT").motion, lexicon.prototype("HELP").motion
    count = min(len(a), len(b))
    q, goal = a.quaternions[:count], b.quaternions[:count]
    row = rs.encode(q, a.face[:count], goal, b.face[:count])
    assert row.shape == (count, rs.CHANNELS)
    made, face = rs.decode(q, a.face[:count], row)
    for side in rs.SIDES:
        here, there = rs.arm(made, side), rs.arm(goal, side)
        assert np.abs(here.wrist - there.wrist).max() < 1e-4
        joints = list(rs.finger_joints(side))
        assert np.degrees(rotation.turn_between(made[:, joints], goal[:, joints])).max() < 0.1
    assert np.abs(rs.face_row(face) - np.clip(rs.face_row(b.face[:count]), 0, 1)).max() < 1e-6


def test_no_residual_changes_nothing(lexicon: Lexicon) -> None:
    motion = lexicon.prototype("WANT").motion
    q = motion.quaternions
    made, face = rs.decode(q, motion.face, np.zeros((len(q), rs.CHANNELS)))
    assert np.array_equal(made, q) and np.array_equal(face, motion.face)


@given(seed=st.integers(0, 2**31), size=st.floats(0, 3))
@settings(max_examples=40, deadline=None)
def test_any_residual_gives_rotations(lexicon: Lexicon, seed: int, size: float) -> None:
    motion = lexicon.prototype("HELP").motion
    row = np.random.default_rng(seed).standard_normal((len(motion), rs.CHANNELS)) * size
    made, face = rs.decode(motion.quaternions, motion.face, row)
    assert np.isfinite(made).all() and np.abs(np.linalg.norm(made, axis=-1) - 1).max() < 1e-6
    assert face.min() >= 0 and face.max() <= 1


@given(st.lists(st.floats(-1, 1), min_size=rs.HAND, max_size=rs.HAND))
def test_finger_tangents_come_back(values: list[float]) -> None:
    row = np.array(values)
    assert np.allclose(rs.finger_tangent(rs.finger_vectors(row)), row, atol=1e-9)


# --- gate and experts ---


def sign_of(gloss: str, source: int = 0) -> SignCondition:
    numbers, flags = codes(gloss)
    return SignCondition(numbers, flags, source, np.ones((3, 128), np.float32))


@pytest.mark.parametrize("parts", sorted(PARTS))
def test_the_gate_chooses_experts_and_shares_out(parts: str) -> None:
    model = tiny(parts, top=2)
    batch = collate([np.zeros((9, FEATURES), np.float32)] * 3, [sign_of(g) for g in ("WANT", "HELP", "CAT")])
    _, weights, balance = model.sign_vector(batch)
    top = min(2, len(PARTS[parts]))
    assert ((weights > 0).sum(-1) == top).all()
    assert torch.allclose(weights.sum(-1), torch.full((3,), float(top)))
    assert balance >= 0.99  # 1 when the load is even


def test_every_channel_has_an_expert() -> None:
    for parts in PARTS.values():
        assert sorted({c for channels in parts.values() for c in channels}) == list(range(rs.CHANNELS))


def test_a_part_without_a_chosen_expert_keeps_its_prior() -> None:
    model = tiny("three", top=1)
    batch = collate([np.zeros((9, FEATURES), np.float32)], [sign_of("WANT")])
    _, weights, _ = model.sign_vector(batch)
    chosen = list(model.parts)[int(weights.argmax())]
    made = model.sample(batch, torch.from_numpy(smooth_noise(9, np.random.default_rng(0)))[None])
    others = sorted(set(range(rs.CHANNELS)) - set(model.parts[chosen]))
    assert made[..., others].abs().max() == 0
    assert made[..., model.parts[chosen]].abs().max() > 0


def test_padding_changes_nothing(moe: SlpMoe) -> None:
    random = np.random.default_rng(0)
    short, long = (random.standard_normal((n, FEATURES)).astype(np.float32) for n in (11, 20))
    noise = torch.from_numpy(smooth_noise(20, random))
    alone = moe.sample(collate([short], [sign_of("WANT")]), noise[None, :11])
    both = moe.sample(collate([short, long], [sign_of("WANT"), sign_of("HELP")]), torch.stack([noise, noise]))
    assert torch.allclose(alone[0], both[0, :11], atol=1e-5)


def test_dense_has_about_as_many_weights_as_the_experts() -> None:
    count = [sum(p.numel() for p in tiny("four", dense=d).parameters()) for d in (False, True)]
    assert 0.95 < count[1] / count[0] < 1.05


def test_noise_has_unit_variance_and_hangs_together() -> None:
    noise = smooth_noise(4000, np.random.default_rng(1))
    assert 0.97 < noise.std() < 1.03
    assert np.mean(noise[1:] * noise[:-1]) > 0.9


def test_weights_come_back_from_their_file(moe: SlpMoe, tmp_path: Path) -> None:
    moe.save(tmp_path / "a.safetensors", {})
    again = SlpMoe.load(tmp_path / "a.safetensors")
    batch = collate([np.ones((9, FEATURES), np.float32)], [sign_of("WANT")])
    noise = torch.zeros(1, 9, rs.CHANNELS)
    assert torch.allclose(again.sample(batch, noise), moe.sample(batch, noise), atol=2e-3)


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_broken_weights_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StableSignerError, match="cannot be read"):
        SlpMoe.load(path)


# --- the linker ---


def test_every_plan_has_linker_states(lexicon: Lexicon, linker: Linker) -> None:
    signs = (
        Sign("IX-1", "index", 0, 0.2),
        Sign("PAUSE", "pause", 0.2, 0.7),
        Sign("fs-ANA", "fingerspelled", 0.7, 1.5, parts=("A", "N", "A")),
        Sign("WHAT", "lexical", 1.6, 2.0),
    )
    plan = Plan("x", "ase", signs, (Nonmanual("wh-question", 0.7, 2.0),), (Sentence("x", 0, 2.0),))
    states = linker.states(plan)
    assert states.shape == (4, linker.width) and np.isfinite(states).all()
    assert not states[1].any() and states[[0, 2, 3]].any(1).all()
    without = linker.states(replace(plan, nonmanuals=()))
    assert np.abs(states - without)[[0, 2, 3]].max() > 0.01  # the face's grammar is in them


def test_long_sentences_are_read_in_stretches(linker: Linker) -> None:
    signs = [Sign("CAT", "lexical", k, k + 0.5) for k in range(40)]
    assert [len(line.places) for line in lines(signs)] == [16, 16, 8]
    assert linker.states(Plan("x", "ase", tuple(signs))).any(1).all()


def test_neighbours_are_zero_at_the_ends() -> None:
    around = neighbours(np.arange(6, dtype=float).reshape(3, 2) + 1)
    assert around.shape == (3, 3, 2)
    assert not around[0, 0].any() and not around[-1, 2].any()
    assert np.array_equal(around[1, 0], around[0, 1])


def test_a_bare_line_marks_spelled_words() -> None:
    assert bare_line(["CAT", "fs-ANA"]).text.split()[4:6] == ["<w2>", "NAME"]


# --- in motion ---


def test_pieces_equal_the_whole(lexicon: Lexicon, moe: SlpMoe, linker: Linker) -> None:
    plan = plan_of(lexicon, *["HELLO", "WANT", "HELP", "CAT", "WATER", "FRIEND"] * 6)
    made = ExpertComposer(plan, lexicon, moe, linker, seed=3)
    whole = made.frames(0, made.frame_count)
    again = joined(ExpertComposer(plan, lexicon, moe, linker, seed=3).pieces())
    assert np.array_equal(whole.rotations, again.rotations)
    assert len(made.boundaries()) > 2


def test_seeds_are_takes_and_the_prior_is_another(lexicon: Lexicon, moe: SlpMoe, linker: Linker) -> None:
    plan = plan_of(lexicon, "WANT", "HELP")
    takes = [joined(ExpertComposer(plan, lexicon, moe, linker, seed=s).pieces()) for s in (0, 0, 1)]
    prior = joined(Composer(plan, lexicon, seed=0).pieces())
    assert np.array_equal(takes[0].rotations, takes[1].rotations)
    for other in (takes[2], prior):
        assert np.abs(takes[0].rotations - other.rotations).max() > 1e-3


def test_nothing_jumps(lexicon: Lexicon, moe: SlpMoe, linker: Linker) -> None:
    plan = plan_of(lexicon, "WANT", "HELP", "MOTHER", "BOOK")
    motion = joined(ExpertComposer(plan, lexicon, moe, linker, manner=Manner(variation=1.0)).pieces())
    q = motion.quaternions
    wrists = kinematics(q)[1][:, [j for s in "RL" for j in (rs.finger_joints(s)[6],)]]
    assert np.linalg.norm(np.diff(wrists, axis=0), axis=-1).max() < 0.16  # metres in 40 ms


def test_an_idle_hand_is_left_alone(lexicon: Lexicon, moe: SlpMoe, linker: Linker) -> None:
    plan = plan_of(lexicon, "MOTHER")
    assert not lexicon.prototype("MOTHER").two_handed
    left = list(rs.finger_joints("L"))
    a = joined(ExpertComposer(plan, lexicon, moe, linker).pieces()).rotations[:, left]
    b = joined(Composer(plan, lexicon).pieces()).rotations[:, left]
    assert np.abs(a - b).max() < 1e-6


def test_a_signer_has_habits(lexicon: Lexicon, moe: SlpMoe, linker: Linker) -> None:
    plan = plan_of(lexicon, "WANT")
    rows = [
        ExpertComposer(plan, lexicon, moe, linker, seed=s, manner=Manner(variation=1, signer=n)).added(0).rows
        for s, n in ((0, 1), (1, 1), (0, 2))
    ]
    same, other = np.abs(rows[0] - rows[1]).mean(), np.abs(rows[0] - rows[2]).mean()
    assert same < other


@pytest.mark.parametrize("text", [*MANNERS, "lively:0.6,calm:0.4", "signer-7", "large,signer-3", "small:2"])
def test_manners_mix(text: str) -> None:
    manner = mix(text)
    assert min(m.size for m in MANNERS.values()) <= manner.size <= max(m.size for m in MANNERS.values())
    assert manner.signer == (int(text.split("signer-")[1]) if "signer-" in text else None)


@given(st.text(max_size=30))
def test_any_manner_is_mixed_or_refused(text: str) -> None:
    try:
        mix(text)
    except StableSignerError as error:
        assert str(error)


def test_an_even_mixture_lies_between() -> None:
    assert mix("lively,calm").size == pytest.approx((MANNERS["lively"].size + MANNERS["calm"].size) / 2)


# --- training ---


@pytest.fixture(scope="module", autouse=True)
def _alone() -> Iterator[None]:
    """accelerate keeps one precision a process; SLUL's tests train with another."""
    yield
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, lexicon: Lexicon) -> Path:
    """Pairs of a few signs: their phonology beside their own prototypes."""
    made = []
    names = "ANGRY APPLE BABY BIRD BOY BROTHER CAR CAT CHAIR COFFEE COOK DOG DOOR EAT EGG FISH FLOWER MILK"
    glosses = [g for g in names.split() if g in lexicon and build_from_phonology(g)]
    for gloss in glosses:
        prototype = lexicon.prototype(gloss)
        q = prototype.motion.quaternions
        take = pr.Take(
            gloss, gloss, q, prototype.motion.face.astype(float), (0, len(q)), prototype.two_handed
        )
        built = build_from_phonology(gloss)
        assert built is not None
        prior = from_built(gloss, built)
        made.append(pr.make(prior, prior.duration, take, "phonology"))
    assert {pr.part_of(g) for g in glosses} >= {"train", "dev"}
    path = tmp_path_factory.mktemp("pairs") / "pairs.npz"
    contexts = [[([g], 0), (["WANT", g], 1)] for g in glosses]
    states = np.random.default_rng(0).standard_normal((len(glosses), 2, 3, 128))
    pr.save(path, pr.PairData(made, glosses, contexts, states))
    return path


def recipe(data: Path, **changes: object) -> MoeRecipe:
    base = {"data": str(data), "size": "tiny", "steps": 12, "batch": 4, "evaluate_every": 6, "warmup": 2}
    return MoeRecipe.from_dict(base | changes)


def test_training_learns_and_is_the_same_twice(data: Path, tmp_path: Path) -> None:
    wanted = recipe(data, steps=60, evaluate_every=30)
    logs = []
    for name in ("a", "b"):
        best = train(wanted, tmp_path / name)
        logs.append([json.loads(x) for x in (tmp_path / name / "log.jsonl").read_text().splitlines()])
        SlpMoe.load(best)
    for x, y in zip(*logs, strict=True):
        assert {k: v for k, v in x.items() if k != "seconds"} == {
            k: v for k, v in y.items() if k != "seconds"
        }
    assert logs[0][-1]["flow"] < logs[0][0]["flow"]


def test_an_interrupted_training_goes_on(data: Path, tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    train(recipe(data), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe(data), tmp_path / "cut", on_step=stop)
    train(recipe(data), tmp_path / "cut")
    whole, cut = (
        [json.loads(x)["error"] for x in (tmp_path / n / "log.jsonl").read_text().splitlines()]
        for n in ("whole", "cut")
    )
    assert whole == cut


def test_another_recipe_does_not_go_on(data: Path, tmp_path: Path) -> None:
    train(recipe(data), tmp_path)
    with pytest.raises(StableSignerError, match="another recipe"):
        train(recipe(data, seed=2), tmp_path)


def test_the_motion_loss_reaches_slul(data: Path, tmp_path: Path) -> None:
    from importlib import resources

    from stable_signer.slp_moe.train import Objective, Run, batch_noise

    weights = str(resources.files("stable_signer.weights") / "slul-ase.safetensors")
    run = Run(recipe(data, slul=weights), pr.load(data), tmp_path)
    for name, parameter in run.model.named_parameters():  # what starts at zero passes nothing back
        if name.endswith(("film.weight", ".out.weight")):
            torch.nn.init.normal_(parameter, std=0.1)
    draw = run.linked(run.draw(), True)
    loss, _ = Objective(run.model, run.recipe)(draw, batch_noise(draw.target), torch.rand(4))
    loss.backward()
    assert run.slul is not None
    moved = [n for n, p in run.slul.named_parameters() if p.grad is not None and p.grad.abs().max() > 0]
    assert any("decoder" in n for n in moved) and any("encoder" in n for n in moved)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "unknown key"),
        ({"steps": "many"}, "must be int"),
        ({"steps": 0}, "at least 1"),
        ({"size": "huge"}, "no SLP-MoE size"),
        ({"parts": "seven"}, "no split of experts"),
        ({"groups": [1.0]}, "groups must be"),
    ],
)
def test_a_bad_recipe_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(StableSignerError, match=message):
        MoeRecipe.from_dict(values)


def test_missing_pairs_are_told(tmp_path: Path) -> None:
    with pytest.raises(StableSignerError, match="build_pairs"):
        train(recipe(tmp_path / "none.npz"), tmp_path / "run")


def test_fields_have_codes() -> None:
    numbers, flags = codes("CAT")
    assert numbers.shape == (len(FIELDS),) and numbers.any() and flags.shape == (3,)
    assert not codes("NO-SUCH-GLOSS")[0].any()


# --- the commands ---


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory, lexicon: Lexicon) -> Path:
    """Takes as tools/build_takes.py writes them, of our own prototypes with some noise."""
    from stable_signer.body.fit import REST_DOFS
    from stable_signer.slul.glosses import Glossary

    random = np.random.default_rng(0)
    entries = [e for e in Glossary.load() if e.clip and e.phonology and pr.part_of(e.gloss) == "dev"][:6]
    wave = np.sin(np.arange(30) / 4)[:, None, None]
    dofs = [np.tile(REST_DOFS, (30, 2, 1)) + random.normal(0, 0.1, (1, 2, 30)) * wave for _ in entries]
    path = tmp_path_factory.mktemp("takes") / "plain.npz"
    count = len(entries)
    np.savez(
        path,
        names=np.array([e.clip for e in entries]),
        spans=np.tile([30, 5, 25], (count, 1)),
        facts=np.tile(np.array([0, 0.1, 1.0, 0], np.float32), (count, 1)),
        dofs=np.concatenate(dofs).astype(np.float32),
        head=np.zeros((30 * count, 3), np.float32),
        face=np.zeros((30 * count, 52), np.float32),
    )
    return path


def test_evaluation_has_its_floors_and_its_ceiling(takes: Path, run: Run) -> None:
    result = run("evaluate", "moe", "--takes", takes, "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert list(told["rows"]) == ["real", "prior", "shuffled", "mean pose", "experts", "experts' expectation"]
    assert told["rows"]["real"]["dtw_hands"] == pytest.approx(0, abs=1e-9)
    assert told["rows"]["mean pose"]["distance_ratio"] == pytest.approx(0, abs=1e-9)
    lengths = {
        round(row["length_ratio"], 6) for name, row in told["rows"].items() if name in ("prior", "experts")
    }
    assert len(lengths) == 1
    assert all(np.isfinite(v) for row in told["rows"].values() for k, v in row.items() if "distance" not in k)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--takes", "none.npz"), "build_takes"),
        (("--part", "train"), "no part"),
        (("--variation", "9"), "variation"),
        (("--weights", "none.safetensors"), "cannot be read"),
    ],
)
def test_a_bad_evaluation_is_refused(takes: Path, run: Run, arguments: tuple[str, str], message: str) -> None:
    result = run("evaluate", "moe", *(() if "--takes" in arguments else ("--takes", takes)), *arguments)
    assert result.code == 2 and message in result.err and "Traceback" not in result.err


def test_training_from_the_command_line(data: Path, tmp_path: Path, run: Run) -> None:
    recipe_file = tmp_path / "a.toml"
    recipe_file.write_text(f'data = "{data}"\nsize = "tiny"\nsteps = 4\nbatch = 4\nevaluate_every = 2\n')
    plot = tmp_path / "a.png"
    result = run("train", "moe", "--config", recipe_file, "--output", tmp_path / "run", "--plot", plot)
    assert result.code == 0, result.err
    assert plot.stat().st_size > 1000
    SlpMoe.load(tmp_path / "run" / "best.safetensors")


def test_a_plot_of_another_kind_is_refused_before_training(data: Path, tmp_path: Path, run: Run) -> None:
    recipe_file = tmp_path / "a.toml"
    recipe_file.write_text(f'data = "{data}"\nsize = "tiny"\nsteps = 4\n')
    result = run("train", "moe", "--config", recipe_file, "--output", tmp_path / "run", "--plot", "a.txt")
    assert result.code == 2 and ".png" in result.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("manner", ["loud", "lively:x", "lively:-1"])
def test_sign_refuses_an_unknown_manner(run: Run, folder: Path, manner: str) -> None:
    result = run("sign", "Hello", "-o", folder / "a.mp4", "--manner", manner)
    assert result.code == 2 and "manner" in result.err
    assert not list(folder.iterdir())


def test_a_manner_needs_the_experts(run: Run, folder: Path) -> None:
    result = run("sign", "Hello", "-o", folder / "a.mp4", "--motion", "prior", "--manner", "calm")
    assert result.code == 2 and "moe" in result.err
