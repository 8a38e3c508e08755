"""A worker without a model, for the supervisor's tests: does what its parameters say. Not a test itself."""

from __future__ import annotations

import os
import sys
import time

from arbiter_providers._worker import open_channel


def main() -> None:
    sys.platform = os.environ.get("FAKE_PLATFORM", sys.platform)
    channel = open_channel(int(sys.argv[1]))
    given = channel.parameters()
    channel.listen(lambda message: channel.send({"event": "echo", **message}))
    for n in range(given.get("lines", 0)):
        print(f"line {n}", flush=True)
    match given["do"]:
        case "fail":
            channel.send({"event": "failed", "message": "no such luck"})
            return
        case "exit":
            print("about to fall over", file=sys.stderr, flush=True)
            os._exit(7)
        case "silent":
            pass
        case _:
            channel.send({"event": "ready", "cwd": sys.path[0]})
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
