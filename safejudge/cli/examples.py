"""What the help of each command says below its options: examples and exit codes."""

from __future__ import annotations

EXIT_CODES = """\
exit codes:
  0    every image is safe
  1    at least one image is unsafe
  2    the command, the constitution or a file has to be changed first
  3    the engine failed
  4    none is unsafe, but at least one is undecided or could not be read
  130  stopped by Ctrl-C
"""

EXAMPLES = """\
examples:
  safejudge judge photos/ --constitution rules.yaml --engine hf:ORG/MODEL
  safejudge explain photo.png --constitution rules.yaml --engine hf:ORG/MODEL
  safejudge compile rules.yaml --llm server:http://HOST:PORT/v1#MODEL
  safejudge lint rules.yaml
  safejudge diff rules-before.yaml rules.yaml
  safejudge sketch scenes --out scenes --count 100 --seed 7
"""

JUDGE = """\
examples:
  safejudge judge scenes/ --constitution sketch --engine hf:sketch
  safejudge judge a.png 'in/**/*.jpg' --constitution rules.yaml \\
      --engine hf:ORG/MODEL --out results.jsonl --resume
  safejudge judge scenes/ --constitution sketch --engine hf:sketch \\
      --report page.html
  safejudge judge in/ --constitution rules.yaml --engine hf:ORG/MODEL \\
      | jq -r 'select(.label != "safe") | .image'
  safejudge judge shards/ --constitution rules.yaml \\
      --engine vllm:ORG/MODEL --ray --actors 8 --out records --resume

With --ray, images are files, members of .tar shards (the .txt beside one is
its caption), or the column `image` of Parquet files (caption: the column
`prompt` or `caption`). Every machine of the cluster has to see them. --out is
a folder of Parquet files with the fields of the JSON records; the trace,
`rules`, is JSON. It takes pip install 'safejudge[ray]'.
"""

EXPLAIN = """\
examples:
  safejudge explain photo.png --constitution rules.yaml --engine hf:ORG/MODEL
  safejudge explain scene.png --constitution sketch --engine hf:sketch \\
      --rule armed-child
"""

RELEVANCE = """\
example:
  safejudge relevance some-images/ --constitution rules.yaml --encoder hf:ORG/MODEL --keep 0.4
"""

LINT = """\
examples:
  safejudge lint rules.yaml more.yaml
  safejudge lint sketch

exit codes:
  0    no errors; there may be warnings
  2    at least one file would be refused
"""

DIFF = """\
examples:
  safejudge diff rules-before.yaml rules.yaml
  safejudge diff sketch my-sketch.yaml

"can only be violated less" (or more) is said where it is certain from the
conditions, statements answered alike. Order and nesting are no change.

exit codes:
  0    nothing changed
  1    something changed
  2    a file would be refused
"""

COMPILE = """\
examples:
  safejudge compile rules.yaml --llm server:http://127.0.0.1:8000/v1#MODEL
  safejudge compile rules.yaml --llm hf:ORG/MODEL --max-rounds 6

exit codes:
  0    every rule has a condition, its own or in the lock, and nothing is open
  2    the command, the constitution or the lock has to be changed first
  3    the engine failed; what was compiled is in the lock
  4    something is left for a person: rules to review, or rules that failed
  130  stopped by Ctrl-C; the same command goes on
"""

EVAL = """\
examples:
  safejudge eval labelled --data photos/ --constitution rules.yaml --engine hf:ORG/MODEL --out run
  safejudge eval mj-bench --data drawn --constitution sketch --engine hf:sketch --out run
  safejudge eval mj-bench --data drawn --engine hf:ORG/MODEL --out run \\
      --split quality --suite-arg modes=multi --suite-arg scales=1-5,1-10
  safejudge eval sketchbench --engine hf:sketch --constitution sketch --out run \\
      --limit 100 --seed 1 --variant all --repeats 2
  safejudge eval mj-bench --from-outputs their-results/ --paper
  safejudge eval mj-bench --from-outputs their-results/ --suite-arg flip=nsfw
  safejudge eval preference --data pairs.jsonl --engine hf:ORG/MODEL --out run

labels.csv has the columns image, label (safe or unsafe) and violations (ids of rules); one of the
last two may be missing. Every question is asked, so that scores are exact.

exit codes:
  0    measured
  2    the command or a file has to be changed first
  3    the engine failed; --resume goes on
  130  stopped by Ctrl-C
"""

REPORT = """\
example:
  safejudge report run
"""

ANNOTATE = """\
examples:
  safejudge annotate prompts.jsonl --constitution rules.yaml --engine hf:ORG/MODEL \\
      --rubric prompt-following=prompt-following --rubric fidelity=fidelity --out pairs
  safejudge annotate drawn/prompts.jsonl --constitution sketch --engine hf:sketch \\
      --rubric prompt-following=sketch-prompt-following --out pairs --resume

DATA has a line per prompt: prompt_id, prompt, and images, each with image_id and image, its path
from the file; or a row per picture, image and prompt. FOLDER gets annotations.jsonl, pairs.jsonl
for DPO trainers, and the pairs' pictures. An unsafe picture is never chosen over a safe one in the
pairs of `overall`.

exit codes:
  0    annotated
  2    the command or a file has to be changed first
  3    the engine failed; --resume goes on
  130  stopped by Ctrl-C; --resume goes on
"""

TRAIN_SCORER = """\
examples:
  safejudge train-scorer pairs/pairs.jsonl --backbone hf:google/siglip2-base-patch16-224 \\
      --out scorer
  safejudge eval preference --data other-pairs/pairs.jsonl --engine hf:ORG/MODEL \\
      --encoder scorer:scorer --out run

Some prompts are held out, and accuracy is measured on their pairs alone.

exit codes:
  0    trained, and measured on the prompts held out
  2    the command or a file has to be changed first
  3    the backbone cannot be opened, or failed
  130  stopped by Ctrl-C; --resume goes on
"""

BENCH = """\
example:
  safejudge sketch bench --per-rule 5 --plain 20
"""

SCENES = """\
examples:
  safejudge sketch scenes --out scenes --count 100 --seed 7
  safejudge sketch scenes --out bench --bench
  safejudge sketch mj-bench --out drawn --count 60
"""
