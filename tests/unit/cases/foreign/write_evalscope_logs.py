"""Writes the evalscope folder of these tests: its own gsm8k, against a server of canned answers.

In an environment with evalscope 1.14.1; the folder has test.jsonl of openai/gsm8k:

    python write_evalscope_logs.py FOLDER_OF_gsm8k OUTPUT
"""

import json
import shutil
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from evalscope import TaskConfig, run_task

ANSWERS = {"Janet": "It is \\boxed{18}.", "robe": "I say \\boxed{3}", "house": "\\boxed{1}"}
"""By a word of the question; any other is cut off."""
CARD = """---
configs:
- config_name: main
  data_files: [{split: test, path: test.jsonl}]
---
"""


class Canned(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = asked["messages"][-1]["content"]
        text = next((text for word, text in ANSWERS.items() if word in question), None)
        said = text or "Let me"
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": said},
            "finish_reason": "stop" if text else "length",
        }
        tokens = len(said)
        body = json.dumps(
            {
                "id": "canned",
                "object": "chat.completion",
                "created": 0,
                "model": asked["model"],
                "choices": [choice],
                "usage": {
                    "prompt_tokens": 40,
                    "completion_tokens": tokens,
                    "total_tokens": 40 + tokens,
                },
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main(data: Path, output: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Canned)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        mirror = Path(folder) / "gsm8k"
        mirror.mkdir()
        lines = (data / "test.jsonl").read_text(encoding="utf-8").splitlines()[:4]
        (mirror / "test.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (mirror / "README.md").write_text(CARD, encoding="utf-8")
        run_task(
            TaskConfig(
                model="canned",
                api_url=f"http://127.0.0.1:{server.server_port}/v1",
                api_key="none",
                eval_type="openai_api",
                datasets=["gsm8k"],
                dataset_args={
                    "gsm8k": {
                        "local_path": str(mirror),
                        "dataset_id": str(mirror),
                        "few_shot_num": 0,
                    }
                },
                generation_config={"temperature": 0.6, "top_p": 0.95, "max_tokens": 512, "seed": 7},
                repeats=2,
                work_dir=str(output),
                no_timestamp=True,
            )
        )
    server.shutdown()
    for name in ("logs",):
        shutil.rmtree(output / name, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
