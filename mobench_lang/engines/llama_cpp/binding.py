"""llama.cpp as this worker needs it: the only module that loads the library.

In: paths, tokens, typed parameters. Out: `Model` and `Context` over the low-level C API; what the library only says
in its log (flash attention, offloaded layers) is read from there. Faults are raised as `WorkerError` with a stable
code.

The package's `__init__` is not run: it imports the whole high-level API, which costs 23 MB of memory and 0.17 s that
would be taken for the model's. `llama_cpp.llama_cpp`, the low-level binding, stands on its own.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Final

from mobench_lang.engines.llama_cpp import library
from mobench_lang.engines.llama_cpp.faults import WorkerError, from_log
from mobench_lang.protocol import JobEngine

FLASH: Final = {"auto": -1, "off": 0, "on": 1}
KV_TYPES: Final = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
_DEBUG: Final = 1  # GGML_LOG_LEVEL_DEBUG in ggml.h; the binding's own table has another order
_LOAD_MMAP: Final = 1
_LOAD_PLAIN: Final = 0
_M_MMAP_THRESHOLD: Final = -3  # malloc.h


class Log:
    """The library's log: written to stderr as it comes, the last lines kept for explanations."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=400)

    def __call__(self, level: int, text: bytes, _data: object) -> None:
        if level == _DEBUG:  # hundreds of lines per load
            return
        line = text.decode("utf-8", "replace")
        sys.stderr.write(line)
        if line.strip(" .\n"):
            self.lines.append(line)

    def last(self, marker: str) -> str:
        """What follows `marker` in the newest line that holds it, else an empty text."""
        return next((line.partition(marker)[2].strip() for line in reversed(self.lines) if marker in line), "")

    def buffers(self) -> dict[str, int]:
        """Bytes of each buffer that the lines tell of, as in `load_tensors:   CPU_Mapped model buffer size =  56.63
        MiB`."""
        found = (_BUFFER.search(line) for line in self.lines)
        return {" ".join(m[1].split()): round(float(m[2]) * (1 << 20)) for m in found if m}


_BUFFER: Final = re.compile(r": +(\S.*) buffer size = +([0-9.]+) MiB")
LOG: Final = Log()


@cache
def api() -> Any:  # the library's module has no types worth the name
    """The low-level binding, loaded and initialised once."""
    folder = library.package()
    if "llama_cpp" not in sys.modules:
        shell = ModuleType("llama_cpp")
        shell.__path__ = [str(folder)]
        sys.modules["llama_cpp"] = shell
    _place_buffers()
    try:
        import llama_cpp.llama_cpp as loaded
    except (ImportError, OSError, RuntimeError, FileNotFoundError, AttributeError) as error:
        raise WorkerError("library_broken", f"llama-cpp-python cannot be loaded: {error}") from error
    _callbacks.append(loaded.llama_log_callback(LOG))
    loaded.llama_log_set(_callbacks[-1], None)
    loaded.llama_backend_init()
    return loaded


def _place_buffers() -> None:
    """Large buffers get pages of their own, as they do in a fresh program and in those for devices.

    glibc puts them there only until the first of their size was freed. Python has freed some by now: the engine's
    buffers would lie amid its heap, where a prefill was seen to be 4 % faster (ADR 20).
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim"):
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 17)
        libc.malloc_trim(0)


_callbacks: list[object] = []  # ctypes callbacks live as long as something refers to them


def _ggml(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of ggml by name, from the very objects that libllama was linked with: looked up through libllama's
    handle. Opening `libggml.so` by its path would load a second copy, since wheels hold files instead of links."""
    found = getattr(ctypes.CDLL(api()._lib._name), name, None)
    if found is None:
        raise WorkerError("library_broken", f"the installed llama.cpp has no {name}")
    found.restype, found.argtypes = result, list(arguments)
    return found  # type: ignore[no-any-return]


def _text(fill: Callable[[Any, int], int], size: int = 256) -> str:
    """A text that the library writes into a buffer, grown until it fits."""
    while True:
        buffer = ctypes.create_string_buffer(size)
        length = fill(buffer, size)
        if length < size:
            return buffer.raw[: max(length, 0)].decode("utf-8", "replace")
        size = length + 1


# ---------------------------------------------------------------- devices


@dataclass(frozen=True)
class Device:
    """A compute device: its name (`CUDA0`), description, and the registry it belongs to (`CUDA`, `CPU`)."""

    handle: int
    name: str
    description: str
    registry: str
    is_cpu: bool

    @property
    def backend(self) -> str:
        """The registry's name as a spec writes it."""
        return {"mtl": "metal"}.get(self.registry.lower(), self.registry.lower())


def devices() -> tuple[Device, ...]:
    """Every device that this build can compute on."""
    api()
    count = _ggml("ggml_backend_dev_count", ctypes.c_size_t)()
    get = _ggml("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    name = _ggml("ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)
    described = _ggml("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)
    kind = _ggml("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    registry = _ggml("ggml_backend_dev_backend_reg", ctypes.c_void_p, ctypes.c_void_p)
    registered = _ggml("ggml_backend_reg_name", ctypes.c_char_p, ctypes.c_void_p)
    found = []
    for index in range(count):
        one = get(index)
        owner = registered(registry(one)).decode()
        found.append(Device(one, name(one).decode(), described(one).decode(), owner, kind(one) == 0))
    return tuple(found)


def chosen(backend: str | None) -> tuple[Device, ...] | None:
    """The devices to offload to: None leaves it to the library, an empty tuple is the CPU alone."""
    if backend is None:
        return None
    if backend == "cpu":
        return ()
    found = tuple(d for d in devices() if not d.is_cpu and d.backend == backend)
    if not found:
        there = ", ".join(sorted({d.backend for d in devices()}))
        raise WorkerError("backend_missing", f"this build of llama.cpp has no {backend} device; it has: {there}")
    return found


def _cpu_function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of the CPU backend, which may be a shared object of its own that libllama does not know."""
    cpu = next((d for d in devices() if d.is_cpu), None)
    if cpu is None:
        raise WorkerError("library_broken", "the installed llama.cpp has no CPU backend")
    registry = _ggml("ggml_backend_dev_backend_reg", ctypes.c_void_p, ctypes.c_void_p)(cpu.handle)
    look_up = _ggml("ggml_backend_reg_get_proc_address", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
    address = look_up(registry, name.encode())
    if not address:
        raise WorkerError("library_broken", f"the CPU backend of the installed llama.cpp has no {name}")
    return ctypes.CFUNCTYPE(result, *arguments)(address)


# ---------------------------------------------------------------- the model


class Model:
    """A loaded model and its vocabulary."""

    def __init__(self, path: str, engine: JobEngine) -> None:
        """Load the weights; raises WorkerError load_failed, out_of_memory or backend_missing."""
        lib = api()
        params = lib.llama_model_default_params()
        offload = chosen(engine.backend)
        if offload is not None:
            self._devices = (ctypes.c_void_p * (len(offload) + 1))(*(d.handle for d in offload), None)
            params.devices = ctypes.cast(self._devices, ctypes.c_void_p)
        if engine.gpu_layers is not None:
            params.n_gpu_layers = engine.gpu_layers
        elif offload == ():
            params.n_gpu_layers = 0
        if engine.mmap is not None:
            params.load_mode = _LOAD_MMAP if engine.mmap else _LOAD_PLAIN
        LOG.lines.clear()
        handle = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not handle:
            raise from_log("load_failed", f"llama.cpp cannot load {path}", LOG.lines)
        if lib.llama_model_has_encoder(handle) or not lib.llama_model_has_decoder(handle):
            raise WorkerError("model_unsupported", f"{path} is not a decoder-only language model")
        self.handle = handle
        self.n_swa: int = lib.llama_model_n_swa(handle)
        # Without a layer on it a GPU would still compute the prefill, and keep the KV cache.
        self.offloads = (offload is None or bool(offload)) and params.n_gpu_layers != 0
        self._vocab = lib.llama_model_get_vocab(handle)
        self.n_vocab: int = lib.llama_vocab_n_tokens(self._vocab)
        self.n_ctx_train: int = lib.llama_model_n_ctx_train(handle)
        self.bos: int = lib.llama_vocab_bos(self._vocab)
        self.eos: int = lib.llama_vocab_eos(self._vocab)
        self.add_bos: bool = lib.llama_vocab_get_add_bos(self._vocab)
        self.offloaded = LOG.last("offloaded ").partition("/")[0]
        self.mapped = LOG.last("(load_mode = ").startswith("mmap")
        self.buffers = LOG.buffers()

    def description(self) -> tuple[str, str, int, int]:
        """Description, weight type (`Q4_K - Medium`), number of parameters, bytes of the tensors."""
        lib = api()
        desc = _text(lambda b, n: lib.llama_model_desc(self.handle, b, n))
        kind = (lib.llama_ftype_name(lib.llama_model_ftype(self.handle)) or b"unknown").decode()
        return desc, kind, lib.llama_model_n_params(self.handle), lib.llama_model_size(self.handle)

    def end_tokens(self) -> tuple[int, ...]:
        """Every token that ends a generation."""
        is_end = api().llama_vocab_is_eog
        return tuple(t for t in range(self.n_vocab) if is_end(self._vocab, t))

    def piece(self, token: int, *, special: bool = True) -> bytes:
        """The bytes of one token."""
        lib, size = api(), 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = lib.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens without the special ones; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(self.piece(t, special=False) for t in tokens).decode("utf-8", "replace")

    def tokenize(self, text: str, *, first: bool, special: bool) -> list[int]:
        """Tokens of a text. `first`: it begins the context, so the model's own opening tokens are added; `special`: the
        text of a special token (`<|im_start|>`) is that token."""
        lib, raw = api(), text.encode()
        if first and self.add_bos and special and raw.startswith(self.piece(self.bos)):
            first = False  # the chat template wrote it already
        room = len(raw) + 16
        while True:
            tokens = (ctypes.c_int32 * room)()
            count = lib.llama_tokenize(self._vocab, raw, len(raw), tokens, room, first, special)
            if count >= 0:
                return tokens[:count]
            room = -count

    def chat_template(self) -> str | None:
        """The chat template that the file carries."""
        found = api().llama_model_chat_template(self.handle, None)
        return found.decode("utf-8", "replace") if found else None


# ---------------------------------------------------------------- the context


class _ThreadPoolParams(ctypes.Structure):
    """`struct ggml_threadpool_params` (ggml.h, unchanged since 2024-08)."""

    _fields_ = (
        ("cpumask", ctypes.c_bool * 512),
        ("n_threads", ctypes.c_int),
        ("prio", ctypes.c_int),
        ("poll", ctypes.c_uint32),
        ("strict_cpu", ctypes.c_bool),
        ("paused", ctypes.c_bool),
    )


class Context:
    """A context with its KV cache; one sequence."""

    def __init__(self, model: Model, engine: JobEngine, *, n_ctx: int, threads: int, threads_batch: int) -> None:
        """Allocate the KV cache and the compute buffers; raises WorkerError context_failed or out_of_memory."""
        lib = api()
        params = lib.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_threads, params.n_threads_batch = threads, threads_batch
        params.n_batch = engine.batch or params.n_batch
        params.n_ubatch = min(engine.ubatch or params.n_ubatch, params.n_batch)
        params.flash_attn_type = FLASH[engine.flash_attention or "auto"]
        params.type_k, params.type_v = kv_type(engine.type_k), kv_type(engine.type_v)
        if not model.offloads:
            params.offload_kqv = params.op_offload = False
        params.no_perf = True
        LOG.lines.clear()
        handle = lib.llama_init_from_model(model.handle, params)
        if not handle:
            raise from_log("context_failed", f"llama.cpp cannot make a context of {n_ctx} tokens", LOG.lines)
        self.model, self.handle = model, handle
        self.memory = lib.llama_get_memory(handle)
        if not self.memory:
            raise WorkerError(
                "model_unsupported", "the model has no KV cache or state: it cannot generate token by token"
            )
        self.n_ctx: int = lib.llama_n_ctx(handle)
        self.n_batch: int = lib.llama_n_batch(handle)
        self.n_ubatch: int = lib.llama_n_ubatch(handle)
        self.n_threads: int = lib.llama_n_threads(handle)
        self.n_threads_batch: int = lib.llama_n_threads_batch(handle)
        self.type_k, self.type_v = engine.type_k or "f16", engine.type_v or "f16"
        told = LOG.last("Flash Attention ") or LOG.last("flash_attn            = ")
        self.buffers = LOG.buffers()
        self.flash_attention = "on" if told.startswith("enabled") else "off" if told else "unknown"
        self._attach_threads()

    def _attach_threads(self) -> None:
        """Give the context threads that stay: without them llama.cpp (built without OpenMP) starts new ones for every
        token. `llama-bench` does the same, with the same settings."""
        lib = api()
        default = _ggml("ggml_threadpool_params_default", _ThreadPoolParams, ctypes.c_int)
        new = _cpu_function("ggml_threadpool_new", ctypes.c_void_p, ctypes.POINTER(_ThreadPoolParams))
        attach = lib._lib.llama_attach_threadpool
        attach.argtypes, attach.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p], None
        pools = []
        for count in dict.fromkeys((self.n_threads, self.n_threads_batch)):
            pool = new(ctypes.byref(default(count)))
            if not pool:
                raise WorkerError("out_of_memory", f"llama.cpp cannot start {count} threads")
            pools.append(pool)
        attach(self.handle, pools[0], pools[1] if len(pools) > 1 else None)

    def clear(self) -> None:
        """Empty the KV cache."""
        api().llama_memory_clear(self.memory, False)

    def keep(self, count: int) -> bool:
        """Drop all but the first `count` tokens of the KV cache; False where the model's memory cannot (recurrent
        models)."""
        lib = api()
        if self.model.n_swa:  # a sliding window has forgotten what the token after the cut would have to see
            oldest = lib.llama_memory_seq_pos_min(self.memory, 0)
            if oldest > max(0, count - self.model.n_swa):
                return False
        return bool(lib.llama_memory_seq_rm(self.memory, 0, count, -1))

    def sampler(self, *, temperature: float, top_k: int, top_p: float, seed: int, banned: Sequence[int]) -> Any:
        """A sampler chain of the library: banned tokens, then greedy, or top-k, top-p, temperature and a seeded
        draw."""
        lib = api()
        params = lib.llama_sampler_chain_default_params()
        params.no_perf = True
        chain = lib.llama_sampler_chain_init(params)
        if banned:
            biases = (lib.llama_logit_bias * len(banned))(*((token, float("-inf")) for token in banned))
            add = lib.llama_sampler_init_logit_bias
            lib.llama_sampler_chain_add(chain, add(self.model.n_vocab, len(banned), biases))
        if temperature <= 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
            return chain
        if top_k > 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_k(top_k))
        if top_p < 1:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_p(top_p, 1))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_temp(temperature))
        seed &= 0xFFFFFFFF
        # The library takes one value for a wish to draw its own.
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_dist(0 if seed == lib.LLAMA_DEFAULT_SEED else seed))
        return chain


def free_sampler(chain: Any) -> None:
    """Give a sampler chain back."""
    api().llama_sampler_free(chain)


def kv_type(name: str | None) -> int:
    """The number of a KV cache type; None is f16, the library's default."""
    if name is None:
        name = "f16"
    if name not in KV_TYPES:
        raise WorkerError("bad_job", f"{name!r} is no KV cache type; there are {', '.join(KV_TYPES)}")
    return int(getattr(api(), f"GGML_TYPE_{name.upper()}"))
