"""The configuration: what it accepts, and how it says no."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.config import (
    Config,
    ConfigError,
    ScheduleConfig,
    WindowConfig,
    find,
    load,
    merge_tasks,
    parse,
    patch_task,
    schema,
    state_dir,
)
from arbiter_tui.config_reader import settings
from arbiter_tui.core.tasks import AutopilotMode, Criteria, Preference, Task, Weights

EXAMPLE = Path(__file__).parent.parent / "arbiter.example.toml"

WRONG = [
    ("sever = 1", "sever", "server"),
    ("[pool]\nmax_loadd = 3", "pool.max_loadd", "pool.max_loaded"),
    ("[pool]\nmemory_budget_byte = 3", "pool.memory_budget_byte", "pool.memory_budget"),
    ('[pool]\nmemory_budget = "2 gigs"', "pool.memory_budget", "2 gigs"),
    ("[pool]\nmemory_budget = -1", "pool.memory_budget", "at least 1"),
    ("[pool]\nmemory_budget = true", "pool.memory_budget", "whole number"),
    ("pool = 3", "pool", "table"),
    ('[server]\nport = "8017"', "server.port", "whole number"),
    ("[server]\nport = 70000", "server.port", "65,535"),
    ('[server]\nhost = "http://box"', "server.host", "address"),
    ('[server]\nhost = ""', "server.host", "address"),
    ('[server]\nhosts = ["*.lan"]', "server.hosts[0]", "plain host name"),
    ('[server]\ncors_origins = ["*"]', "server.cors_origins[0]", "no wildcard"),
    ('[server]\ncors_origins = ["https://a.lan/path"]', "server.cors_origins[0]", "origin"),
    ('[server]\nrequire_key = "yes"', "server.require_key", "true or false"),
    ("[server.limits]\nbody = 3", "server.limits.body", "body_bytes"),
    ('[autopilot]\nmode = "onn"', "autopilot.mode", "nearest: on"),
    ('[autopilot]\ntriggers = ["beter"]', "autopilot.triggers[0]", "better"),
    ('[autopilot]\ntriggers = "better"', "autopilot.triggers", "list"),
    ("[autopilot]\ncooldown_s = nan", "autopilot.cooldown_s", "finite"),
    ("[autopilot]\nexplore_share = 1.5", "autopilot.explore_share", "between 0 and 1"),
    ("[autopilot]\nstrict_compatibility = 1", "autopilot.strict_compatibility", "true or false"),
    ("[tui]\ntheme = 3", "tui.theme", "text"),
    ("[tui.keys]\nwarm = 3", "tui.keys.warm", "ctrl+s"),
    ('[schedule]\nwindows = [{ start = "25:00", end = "06:00" }]', "schedule.windows[0].start", "match"),
    ("[providers]\na = 1", "providers", "[[providers]]"),
    ('[[providers]]\nname = "a"', "providers[0].kind", "required"),
    ('[[providers]]\nname = "a b"\nkind = "x"', "providers[0].name", "match"),
    ('[[providers]]\nname = "a"\nkind = "x"\n[[providers]]\nname = "a"\nkind = "y"', "providers[1].name", "unique"),
    ('[[models]]\nname = "m"\nprovider = "p"\nsource = "s"\nparalel = 2', "models[0].paralel", "models[0].parallel"),
    ('[[models]]\nname = "m"\nprovider = "p"\nsource = "s"\nreplicas = "3-1"', "models[0].replicas", '"1-3"'),
    ('[[providers]]\nname = "p"\nkind = "server"\nreplicas = 0', "providers[0].replicas", '"1-3"'),
    ('[[tasks]]\nname = "t"\nweights = { qualty = 1 }', "tasks[0].weights.qualty", "tasks[0].weights.quality"),
    (
        '[[tasks]]\nname = "t"\nweights = { quality = 0, latency = 0, memory = 0, reliability = 0, recency = 0 }',
        "tasks[0].weights",
        "above 0",
    ),
    ('[[tasks]]\nname = "t"\npreference = "fats"', "tasks[0].preference", "fast"),
    ('[[constitution]]\nname = "r"', "constitution[0]", "forbids nothing"),
    ('[[constitution]]\nname = "r"\nlocl = true', "constitution[0].locl", "constitution[0].local"),
    (
        '[[constitution]]\nname = "r"\nlocal = true\nwaivers = [{ task = "t", reason = "x", until = "soon" }]',
        "constitution[0].waivers[0].until",
        "2026-12-31",
    ),
    (
        '[[constitution]]\nname = "r"\nlocal = true\nwaivers = [{ task = "t", reason = " ", until = "2026-12-31" }]',
        "constitution[0].waivers[0].reason",
        "why",
    ),
]


@pytest.mark.parametrize(("text", "key", "hint"), WRONG, ids=[w[1] for w in WRONG])
def test_every_error_names_file_key_value_and_what_would_be_right(text: str, key: str, hint: str) -> None:
    """A person can correct the file from the message alone."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "here.toml")
    message = str(caught.value)
    assert message.startswith(f"here.toml: {key} = ")
    assert hint in message
    assert caught.value.details["key"] == key
    assert caught.value.details["file"] == "here.toml"


@pytest.mark.parametrize(
    ("where", "line", "key"),
    [
        ("providers", 'api_key = "sk-very-secret"', "api_key"),
        ("providers", 'APIKEY = "sk-very-secret"', "APIKEY"),
        ("providers", 'env = { HF_TOKEN = "sk-very-secret" }', "env.HF_TOKEN"),
        ("providers", 'headers = { Authorization = "Bearer sk-very-secret" }', "headers.Authorization"),
        ("providers", 'command = ["x", "--api-key", "sk-very-secret", "{port}"]', "command"),
        ("providers", 'command = ["x", "--hf_token=sk-very-secret", "{port}"]', "command"),
        ("models", 'options = { api_key = "sk-very-secret" }', "options.api_key"),
    ],
)
def test_a_secret_written_in_clear_is_refused_without_being_repeated(where: str, line: str, key: str) -> None:
    """At any depth and however it is spelt, in a command, too; it is not copied into the error."""
    own = 'kind = "openai"' if where == "providers" else 'provider = "p"\nsource = "s"'
    with pytest.raises(ConfigError, match=r"env:NAME|by reference") as caught:
        parse(f'[[{where}]]\nname = "a"\n{own}\n{line}')
    assert f"{where}[0].{key} = " in str(caught.value)
    assert "sk-very-secret" not in str(caught.value) + json.dumps(caught.value.details)


def test_what_only_sounds_like_a_secret_passes() -> None:
    """A file with keys, a tokenizer, references at any depth."""
    parse(
        '[[providers]]\nname = "a"\nkind = "server"\n'
        'env = { HF_TOKEN = "env:HF_TOKEN", TOKENIZERS_PARALLELISM = "0" }\n'
        'command = ["x", "--api-key-file", "/run/keys", "--tokenizer", "t", "{port}"]'
    )


def test_provider_blocks_keep_their_kinds_own_keys() -> None:
    """What the kind means by its keys is the provider's matter; references stay references."""
    block = parse('[[providers]]\nname = "a"\nkind = "x"\nbase_url = "u"\napi_key = "env:K"\nmodels = ["*"]').providers[
        0
    ]
    assert (block.name, block.kind) == ("a", "x")
    assert block.options == {"base_url": "u", "api_key": "env:K", "models": ["*"]}


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("2147483648", 2**31), ('"2GiB"', 2**31), ('"1.5 GiB"', 3 * 2**29), ('"2GB"', 2 * 10**9), ('"512mib"', 2**29)],
)
def test_sizes_are_bytes_or_texts_with_a_unit(text: str, bytes_: int) -> None:
    """GiB is 1024-based, GB 1000-based, a bare number is bytes."""
    assert parse(f"[pool]\nmemory_budget = {text}").pool.memory_budget_bytes == bytes_


def test_the_example_is_the_defaults_and_names_every_key() -> None:
    """Copying the example changes nothing, and no setting is missing from it."""
    text = EXAMPLE.read_text(encoding="utf-8")
    assert parse(text) == Config()
    sections = (Config().server, Config().server.limits, Config().autopilot, Config().rollout, Config().schedule)
    for section in (*sections, Config().pool, Config().retention, Config().tui, Config().telemetry):
        for name in settings(type(section)):
            assert f"{name} = " in text or f"{name}]" in text, name


def test_the_examples_commented_blocks_are_correct_too() -> None:
    """Removing the comment marks from the example's blocks gives a valid file."""
    text = EXAMPLE.read_text(encoding="utf-8")
    blocks = text[text.index("# [[providers]]") :].splitlines()
    config = parse("\n".join(line.removeprefix("# ") for line in blocks if " = " in line or "[[" in line))
    assert [(p.name, p.kind) for p in config.providers] == [
        ("box", "ollama"), ("studio", "openai_compatible"), ("gpu", "server"), ("cloud", "anthropic"),
    ]  # fmt: skip
    assert config.providers[3].options["prices"] == {"NAME": {"input": 3.0, "output": 15.0}}
    assert config.models[0].context == 4096
    assert config.tasks[0].criteria.quality_threshold == 0.85


def test_the_defaults_are_the_specified_ones() -> None:
    """An empty file is the defaults, which are those of the control contract."""
    config = parse("")
    assert config == Config()
    assert config.server.url == "http://127.0.0.1:8017"
    a = config.autopilot
    assert (a.cooldown_s, a.min_samples, a.performance_threshold, a.quality_factor) == (300, 10, 0.8, 0.9)
    assert (a.triggers, a.explore_share, a.hold_s, a.sentinels_per_hour) == (("degraded", "better"), 0.05, 3600, 20)
    r = config.rollout
    assert (r.rule, r.start, r.step, r.every_s, r.keep_warm_s) == ("posterior", 0.1, 0.1, 3600, 604800)
    assert config.telemetry.keep_prompts is False


def test_the_schema_agrees_with_the_reader() -> None:
    """A JSON Schema validator accepts the example and refuses what the reader refuses by shape."""
    import tomllib

    jsonschema = pytest.importorskip("jsonschema")
    described = schema()
    jsonschema.Draft202012Validator.check_schema(described)
    jsonschema.validate(tomllib.loads(EXAMPLE.read_text(encoding="utf-8")), described)
    for text in ("sever = 1", "[pool]\nmax_loadd = 3", '[autopilot]\nmode = "onn"', "[server]\nport = 70000"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tomllib.loads(text), described)


BUNDLED = (
    Task(name="yes-no", description="bundled", suite="yes-no", max_tokens=4, autopilot=AutopilotMode.OBSERVE),
    Task(name="sums", criteria=Criteria(quality_threshold=0.5, latency_budget_s=3.0), suite="sums"),
)


def test_a_configured_task_changes_only_what_it_says() -> None:
    """Merging keeps the bundled suite and budgets; a value that equals the default is still an order."""
    text = '[[tasks]]\nname = "yes-no"\nautopilot = "on"\n[[tasks]]\nname = "sums"\nquality_threshold = 0.9\n'
    yes_no, sums, new = merge_tasks(BUNDLED, parse(text + '[[tasks]]\nname = "new"\nsuite = "n.jsonl"').tasks)
    assert (yes_no.autopilot, yes_no.suite, yes_no.max_tokens) == (AutopilotMode.ON, "yes-no", 4)
    assert (sums.criteria.quality_threshold, sums.criteria.latency_budget_s) == (0.9, 3.0)
    assert (new.name, new.suite) == ("new", "n.jsonl")


def test_merging_also_takes_plain_tasks() -> None:
    """A task made in code overrides where it differs from a plain Task."""
    (merged,) = merge_tasks(BUNDLED[:1], [Task(name="yes-no", private=True)])
    assert (merged.private, merged.suite) == (True, "yes-no")


def test_a_patch_is_checked_like_the_file() -> None:
    """What arrives over the network obeys the same rules; a task is not renamed by a patch."""
    weights = {"weights": {"quality": 1.0}, "preference": "fast", "capabilities": ["code"]}
    patched = patch_task(BUNDLED[1], weights)
    assert patched.criteria.weights == Weights(quality=1.0)
    assert patched.criteria.preference is Preference.FAST
    assert patched.criteria.capabilities == {"code"}
    assert patched.criteria.quality_threshold == 0.5
    with pytest.raises(ConfigError, match="quality_threshold"):
        patch_task(BUNDLED[1], {"quality_treshold": 0.4})
    with pytest.raises(ConfigError, match="rename"):
        patch_task(BUNDLED[1], {"name": "other"})


def test_windows_run_past_midnight_and_belong_to_the_day_they_began() -> None:
    """Friday 22:00-06:00 covers Saturday 05:00 and not Friday 05:00."""
    window = WindowConfig(start="22:00", end="06:00", days=("fri",))
    assert window.covers(4, 23 * 60)
    assert window.covers(5, 5 * 60)
    assert not window.covers(4, 5 * 60)
    assert not window.covers(5, 23 * 60)
    assert ScheduleConfig().allows(0, 0)
    assert not ScheduleConfig(windows=(window,)).allows(0, 0)
    assert WindowConfig(start="09:00", end="17:00").covers(0, 9 * 60)


def test_the_working_folder_comes_before_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """./arbiter.toml, else the user's configuration folder, else the defaults."""
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr("platformdirs.user_config_path", lambda app: home / app)
    assert find() is None
    assert load() == Config()
    (home / "arbiter").mkdir(parents=True)
    (home / "arbiter" / "arbiter.toml").write_text("[server]\nport = 1\n")
    assert load().server.port == 1
    (work / "arbiter.toml").write_text("[server]\nport = 2\n")
    loaded = load()
    assert (loaded.server.port, loaded.path) == (2, work / "arbiter.toml")


def test_the_state_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option comes before the environment, that before the user's state folder."""
    monkeypatch.setenv("ARBITER_STATE_DIR", str(tmp_path / "env"))
    assert state_dir() == tmp_path / "env"
    assert state_dir(tmp_path / "option") == tmp_path / "option"
    monkeypatch.delenv("ARBITER_STATE_DIR")
    assert state_dir().is_absolute()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"[server", "not valid TOML"), (b"\xff\xfe", "not UTF-8"), (None, "can't be read")],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    """Broken TOML, other encodings and missing files are one clear sentence."""
    path = tmp_path / "broken.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        load(path)
    assert str(path) in str(caught.value)


def _scalar() -> st.SearchStrategy[Any]:
    return st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=10))


@given(st.sampled_from([f.name for f in dataclasses.fields(Config)]), st.text(max_size=12), _scalar())
def test_nothing_but_a_config_error_ever_comes_out(section: str, key: str, value: Any) -> None:
    """Whatever stands in the file, reading it ends in a Config or a ConfigError."""
    from arbiter_tui.config import from_table
    from arbiter_tui.config_reader import Where

    for table in ({section: value}, {section: {key: value}}, {section: [value]}, {section: [{key: value}]}):
        try:
            said = type(from_table(table, Where("any"))).__name__
        except ConfigError as error:
            said = str(error)
        assert said == "Config" or said.startswith("any: ")
