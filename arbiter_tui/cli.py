"""Parses arguments and picks a door. Imports lazily: ``arbiter status --json`` never imports Textual or the engine.

Owns: the names of commands and options (control.md's contract), exit codes. Never: what a command does.

Exit codes: 0 done; 1 the operation failed (reason on stderr); 2 usage or configuration; 3 the engine can't be reached;
4 refused (guard, read-only, not confirmed).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

from .cli_values import ARCHIVED, above_one, above_zero, moment, moments, positive, score, share, span, whole, words
from .errors import ArbiterError, ConfigError, EngineUnreachable, Refused, nearest

_READS = {
    "status": "the engine, who serves each task, what the autopilot says",
    "models": "every version: state, memory, speed, which tasks it serves",
    "tasks": "who serves each task, and whether another one ranks first",
    "hardware": "processor, memory, GPUs, the models' memory budget",
    "history": "the swaps, newest first",
    "requests": "the newest requests with their ids",
}
_ON_VERSION = {
    "warm": "load a model and keep it ready",
    "unload": "let its requests finish, then free its memory",
    "pin": "never unload it to make room",
    "unpin": "let it be unloaded again",
    "activate": "let tasks use it",
    "deprecate": "no task chooses it any more; stays for rollback",
}


class _Parser(argparse.ArgumentParser):
    """Usage errors exit 2 and name the nearest valid command."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("argument COMMAND: invalid choice: '"):
            wrong = message.split("invalid choice: '")[1].split("'")[0]
            near = nearest(wrong, COMMANDS)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; `arbiter --help` lists them"
            message = f"no command {wrong!r}{hint}"
        elif "invalid choice: '" in message:
            wrong, valid = message.split("invalid choice: ")[1].removesuffix(")").split(" (choose from ")
            message = f"{wrong} is none of {valid.replace(chr(39), '')} (`{self.prog} --help` says more)"
        elif message.startswith("the following arguments are required: "):
            missing = message.partition(": ")[2].split(", ")
            message = f"{self.prog} needs {', '.join(map(self._wanted, missing))} (`{self.prog} --help` says more)"
        print(f"arbiter: {message}", file=sys.stderr)
        raise SystemExit(2)

    def _wanted(self, name: str) -> str:
        """An argument that is missing, with what it may be."""
        named = (a for a in self._actions if a.choices and name in (a.dest, a.metavar))
        choices = next((a.choices for a in named), None)
        known = list(map(str, choices or ()))
        return name if not known else f"one of {', '.join(known)}" if known[1:] else known[0]


def _common() -> _Parser:
    common = _Parser(add_help=False)
    g = common.add_argument_group("everywhere")
    quiet = argparse.SUPPRESS
    g.add_argument("--config", metavar="FILE", default=quiet, help="configuration file")
    g.add_argument("--state-dir", metavar="DIR", default=quiet, help="state folder (or ARBITER_STATE_DIR)")
    g.add_argument("--url", metavar="URL", default=quiet, help="an engine elsewhere (or ARBITER_URL)")
    g.add_argument("--key-file", metavar="FILE", default=quiet, help="opens an engine that asks (or ARBITER_KEY)")
    g.add_argument("--read-only", action="store_true", default=quiet, help="refuse every change")
    g.add_argument("--json", action="store_true", default=quiet, help="machine-readable output")
    g.add_argument("--plain", action="store_true", default=quiet, help="a readable text stream instead of a screen")
    g.add_argument("--no-color", action="store_true", default=quiet, help="no colour (NO_COLOR does the same)")
    g.add_argument("-v", "--verbose", action="store_true", default=quiet, help="say more on errors")
    return common


def build_parser() -> argparse.ArgumentParser:
    from . import __version__

    common = _common()
    top = _Parser(
        prog="arbiter", parents=[common], formatter_class=argparse.RawDescriptionHelpFormatter,
        description="The best local model for the task answers, measured here, swapped without anyone noticing.",
        epilog="Without a command: the cockpit on this state folder's engine (started if need be).",
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"arbiter {__version__}")
    top.add_argument("--port", type=int, default=None, help="where the engine listens, if this starts one (0: any)")
    sub = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return sub.add_parser(name, help=text, description=text, parents=[common])

    p = add("serve", "the engine alone, in the foreground")
    p.add_argument("--port", type=int, default=argparse.SUPPRESS, help="0 takes any free one")
    add("stop", "stop this folder's engine (drains first)")
    add("attach", "the cockpit on an engine elsewhere").add_argument(
        "target", metavar="URL|ssh://HOST", help="http://HOST:PORT, or ssh://[user@]HOST[:PORT][?port=N]"
    )
    p = add("web", "the cockpit in a browser on this machine (needs the extra `web`)")
    p.add_argument("--port", type=int, default=8018, help="where the page is (default 8018)")
    p = add("demo", "an honest scripted show on real models; without a terminal it prints the story")
    p.add_argument("--seed", type=int, default=1, help="the same seed asks the same questions (default 1)")
    p.add_argument("--seconds", type=float, default=90.0, help="about how long (default 90)")
    for name, text in _READS.items():
        p = add(name, text)
        p.add_argument("--watch", action="store_true", help="again whenever it changes")
    p = add("run", "answer one prompt (streams)")
    p.add_argument("task", metavar="TASK", help="a task, or the version or alias that shall answer")
    p.add_argument("prompt", metavar="PROMPT", nargs="?", default="-", help="without it, or -: standard input")
    p.add_argument("--max-tokens", type=int, default=None, metavar="N", help="longest answer, in tokens")
    add("select", "who would serve, and why (dry)").add_argument("task", metavar="TASK")
    p = add("register", "add a model: a GGUF file or ollama:NAME")
    p.add_argument("source", metavar="SOURCE", help="PATH.gguf, or ollama:NAME")
    p.add_argument("--provider", default=None, help="which runtime serves it (default: llama_server, or ollama)")
    p.add_argument("--name", default=None, help="what to call it (default: after the file)")
    p.add_argument("--activate", action="store_true", help="let tasks use it at once")
    p.add_argument("--pull", action="store_true", help="let Ollama fetch it first; ctrl+c stops that")
    p = add("discover", "models that are on this machine already; registers none without --apply")
    p.add_argument("--apply", action="store_true", help="register what was found")
    for name, text in _ON_VERSION.items():
        add(name, text).add_argument("model", metavar="VERSION")
    p = add("alias", "point a stable name at a version")
    p.add_argument("name", metavar="NAME")
    p.add_argument("model", metavar="VERSION")
    p = add("swap", "let another version serve a task; the old one stays at hand")
    p.add_argument("task", metavar="TASK")
    p.add_argument("model", metavar="VERSION")
    p.add_argument("--strict", action="store_true", help="refuse on warnings, too")
    p.add_argument("--dry-run", action="store_true", help="say what would happen")
    p.add_argument("--canary", action="store_true", help="on trial first: some of the requests, then more")
    p.add_argument("--at", metavar="TIME", default=None, type=moment, help="later: 22:00, +30m, 2026-11-22T06:00")
    p = add("rollout", "versions on trial: how they stand, and orders for them")
    p.add_argument("action", choices=("list", "pause", "resume", "abort", "promote"))
    p.add_argument("id", metavar="ID|TASK", nargs="?", help="of the rollout, or its task (default: the only one)")
    add("rollback", "the previous version serves again").add_argument("task", metavar="TASK")
    p = add("autopilot", "let the arbiter swap by itself, only observe, or not at all")
    p.add_argument("mode", choices=("on", "off", "observe", "veto"), help="veto: what is announced does not happen")
    p.add_argument("task", metavar="TASK", nargs="?", help="only this one (default: all)")
    p = add("bench", "run the bundled task suites; fills the leaderboards")
    p.add_argument("tasks", metavar="TASK", nargs="*", help="only these (default: all)")
    p.add_argument("--model", metavar="VERSION", action="append", default=[], help="only this one; may be repeated")
    p = add("feedback", "tell how good an answer was")
    p.add_argument("request_id", metavar="REQUEST_ID")
    p.add_argument("score", metavar="SCORE", type=score, help="0 (useless) to 1 (perfect)")
    p.add_argument("--comment", default="", help="kept beside the score")
    add("explain", "the record behind a request, swap or decision; why a task is served so").add_argument(
        "id", metavar="ID|TASK", help="from `requests`, `history`, an answer's X-Arbiter headers; or a task's name"
    )
    p = add("replay", "what would the policy have done on recorded outcomes? Loads and changes nothing")
    _add_replay(p, common)
    add("doctor", "what works here, what doesn't, and how to get it")
    p = add("config", "check, show or describe the configuration; let the engine read it again")
    p.add_argument("action", choices=("check", "show", "schema", "reload"))
    p.add_argument("--dry-run", action="store_true", help="reload: only say what would change")
    p = add("export", "everything learnt as a portable archive; no prompt, key or path is in it")
    p.usage = "%(prog)s [FILE] [--what WORDS] [OPTIONS]"
    p.add_argument("file", metavar="FILE", nargs="?", default="-", help=".gz packs it; without it, or -: the output")
    p.add_argument("--what", metavar="WORDS", type=words, default=None, help=f"only these: {', '.join(ARCHIVED)}")
    p = add("import", "take an archive in: all of it or nothing; what is here wins")
    p.add_argument("file", metavar="FILE", help="an archive, packed or not; -: standard input")
    p.add_argument("--dry-run", action="store_true", help="say what would change")
    _add_key(add("key", "who may come in: keys for programs and for other machines"))
    add("ledger", "the chain of who changed what").add_argument("action", choices=("verify",))
    return top


def _add_key(p: argparse.ArgumentParser) -> None:
    p.add_argument("action", choices=("create", "list", "rotate", "revoke"))
    p.add_argument("name", metavar="NAME", nargs="?", help="of the key (or its id)")
    p.add_argument("--scope", choices=("infer", "control", "admin"), default=None,
                   help="ask models (default); also read and steer the engine; also manage keys")  # fmt: skip
    p.add_argument("--task", metavar="TASK", action="append", default=[], help="only this one; may be repeated")
    p.add_argument("--default-task", metavar="TASK", help="serves a model's name that nobody knows")
    p.add_argument("--requests-per-minute", type=above_zero, metavar="N")
    p.add_argument("--tokens-per-minute", type=above_zero, metavar="N", help="both ways together")
    p.add_argument("--expires", type=span, metavar="SPAN", help="opens nothing after so long: 30d, 12h, 90m")
    p.add_argument("--overlap", type=span, metavar="SPAN", help="rotate: the old one still opens so long (1d)")


def _add_replay(p: argparse.ArgumentParser, common: _Parser) -> None:
    kinds = p.add_subparsers(dest="kind", metavar="KIND", required=True, parser_class=_Parser)

    def add(name: str, text: str, columns: str) -> argparse.ArgumentParser:
        kind = kinds.add_parser(name, help=text, description=text, parents=[common])
        kind.add_argument("file", metavar="FILE", help=f"CSV or JSONL, .gz or not; columns {columns}")
        kind.add_argument("--timing", action="store_true", help="say on stderr how long it took")
        return kind

    p = add("select", "who would have served, and how well?", "task, item, model, quality[, latency_s, ...]")
    p.add_argument("--seed", type=int, default=1, help="of the items; the same seed gives the same answer (default 1)")
    p.add_argument("--requests", type=positive, default=1000, metavar="N", help="of each task (default 1000)")
    p.add_argument("--prior", type=whole, default=20, metavar="N", help="items each model has answered before (20)")
    p.add_argument("--degrade", type=moments, default=(), metavar="A,B", help="best and median model exchanged then")
    p.add_argument(
        "--policy", default="bandit", metavar="NAME",
        help=f"who decides: {', '.join(POLICIES)}, a plugin's, or autopilot, the engine's own decisions (bandit)",
    )  # fmt: skip
    p.add_argument(
        "--explore", type=share, default=None, metavar="SHARE",
        help="of the requests that another than the incumbent may answer (as the policy likes; autopilot .05)",
    )  # fmt: skip
    p.add_argument(
        "--one-fits", action="store_true", help="only one fits into memory: others are asked in blocks in idle time"
    )
    p.add_argument(
        "--sentinels", type=whole, default=None, metavar="N", help="questions per hour in idle time (0; autopilot 20)"
    )
    p.add_argument(
        "--requests-per-hour", type=above_zero, default=3600.0, metavar="N", help="the clock (3600: one a second)"
    )

    p = add("rollout", "would a new version be promoted or taken back?",
            "item, old, new[, old_latency_s, new_latency_s, old_success, new_success, at]")  # fmt: skip
    p.add_argument("--seed", type=int, default=1, help="of the order; the same seed gives the same answer (default 1)")
    p.add_argument(
        "--rule", choices=("posterior", "literal"), default="posterior", help="how the new version is judged"
    )
    p.add_argument("--repeat", type=positive, default=1, metavar="N", help="in so many orders, with the rates")
    p.add_argument("--incumbent-results", type=whole, default=500, metavar="N", help="known of the old one (500)")
    p.add_argument("--requests-per-hour", type=above_zero, default=None, metavar="N",
                   help="the ramp's clock; without it column `at`, else 120")  # fmt: skip
    p.add_argument("--max-latency-s", type=above_zero, default=None, metavar="S", help="taken back when it is slower")
    p.add_argument("--max-slowdown", type=above_one, default=None, metavar="X", help="... than X times the old one")
    p.add_argument("--max-steps", type=positive, default=30, metavar="N", help="without a verdict it ends then (30)")
    p.add_argument("--shadow", type=share, default=1.0, metavar="SHARE", help="rows that both answer (1.0)")
    p.add_argument("--one-fits", action="store_true", help="only one fits into memory: the new one answers in blocks")

    p = add(
        "detect", "when would a change for the worse have been noticed?", "quality[, latency_s, success, tokens_in, at]"
    )
    p.add_argument("--change-at", type=whole, default=None, metavar="K", help="so many requests came before the change")
    p = kinds.add_parser("history", parents=[common], help="this arbiter's own outcomes by another configuration",
                         description="What would another configuration (--config FILE) have done with this arbiter's "
                         "own outcomes? It is read, and counts for nothing else.")  # fmt: skip
    p.add_argument("--timing", action="store_true", help="say on stderr how long it took")
    add("judge", "how far can a judge's verdicts be trusted?", "item, label, judge, winner_asis, winner_swapped, ...")


POLICIES = (  # core/policies.py has them; a test holds the two together
    "bandit", "score", "fixed", "round_robin", "epsilon_greedy", "ucb", "ucb_textbook", "thompson", "exp3",
    "sliding_window",
)  # fmt: skip
COMMANDS = (
    "serve", "stop", "attach", "web", "demo", *_READS, "run", "select", "register", "discover", *_ON_VERSION, "alias",
    "swap", "rollback", "rollout", "autopilot", "bench", "feedback", "explain", "replay", "doctor", "config",
    "export", "import", "key", "ledger",
)  # fmt: skip

_DOORS: dict[str | None, str] = {
    "serve": "serving:serve", "stop": "serving:stop", None: "serving:cockpit", "attach": "serving:attach",
    "web": "web:web", "demo": "demo:demo", "doctor": "doctor:doctor", "config": "local:config", "run": "work:run",
    "bench": "work:bench", "register": "work:register", "ledger": "local:ledger", "key": "keys:key",
    "replay": "replay:replay", "export": "porting:export", "import": "porting:take_in",
    **dict.fromkeys(_READS, "read:show"),
}  # fmt: skip


def door(command: str | None) -> str:
    """``module:function`` below arbiter_tui.commands that carries the command out."""
    return _DOORS.get(command, "write:write")


def exit_code(error: ArbiterError) -> int:
    match error:
        case ConfigError():
            return 2
        case EngineUnreachable():
            return 3
        case Refused():
            return 4
        case _:
            return 1


def _reason(why: Mapping[str, Any]) -> str | None:
    """One line of a refusal's reasons: what was found and what was needed; None where the message says it all."""
    found, needed = (
        ", ".join(map(str, v)) if isinstance(v, list) else v for v in (why.get("value"), why.get("threshold"))
    )
    return None if needed in (None, "") else f"{why.get('rule')}: {found} (needs {needed})"


def _use_key_file(path: str) -> None:
    from .client_wire import use_key

    try:
        with open(path, encoding="ascii") as file:
            use_key(file.read().strip())
    except (OSError, ValueError) as error:
        raise ConfigError(f"--key-file {path}: can't be read ({type(error).__name__})") from error


def main(argv: Sequence[str] | None = None) -> int:
    options = build_parser().parse_args(argv)
    for name in ("config", "state_dir", "url", "key_file"):
        if not hasattr(options, name):
            setattr(options, name, None)
    for name in ("read_only", "json", "plain", "no_color", "verbose"):
        if not hasattr(options, name):
            setattr(options, name, False)
    options.url = options.url or os.environ.get("ARBITER_URL") or None
    if options.no_color:
        os.environ["NO_COLOR"] = "1"
    module, function = door(options.command).split(":")
    try:
        if options.key_file:
            _use_key_file(options.key_file)
        return int(getattr(import_module(f".commands.{module}", __package__), function)(options))
    except ArbiterError as error:
        if options.verbose:
            raise
        print(f"arbiter: {error}", file=sys.stderr)
        for line in error.details.get("why", []):
            if isinstance(line, dict) and (reason := _reason(line)) is not None:
                print(f"  {reason}", file=sys.stderr)
        for name, reason in (error.details.get("reasons") or {}).items():
            print(f"  {name}: {reason}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted. Point stdout away so that the interpreter's own flush stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
