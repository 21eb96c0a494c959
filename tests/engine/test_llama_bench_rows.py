"""What `llama-bench` prints, in the shapes that it has had since 2023: a row of each known set of columns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobench_lang.engines.llama_cpp.llama_bench.rows import COLUMNS, parse

# The sets in the order of time (the months are about when), as the tool's `get_fields` had them. Values are made up;
# their shapes are the tool's.
FLAGS_2023 = "build_commit build_number cuda opencl metal gpu_blas blas cpu_info gpu_info"
FLAGS_2024 = "build_commit build_number cuda opencl vulkan kompute metal sycl rpc gpu_blas blas cpu_info gpu_info"
MODEL = "model_filename model_type model_size model_n_params"
NEW = f"build_commit build_number cpu_info gpu_info backends {MODEL}"
POOL = "cpu_mask cpu_strict poll"
END = "test_time avg_ns stddev_ns avg_ts stddev_ts"
SETS = {
    "2023-08": f"{FLAGS_2023} model_filename model_type n_batch n_threads f16_kv n_gpu_layers main_gpu mul_mat_q "
    f"low_vram tensor_split n_prompt n_gen {END}",
    "2023-10": f"{FLAGS_2023} {MODEL} n_batch n_threads f16_kv n_gpu_layers main_gpu mul_mat_q tensor_split n_prompt "
    f"n_gen {END}",
    "2024-01": f"{FLAGS_2023} {MODEL} n_batch n_threads type_k type_v n_gpu_layers split_mode main_gpu no_kv_offload "
    f"mul_mat_q tensor_split n_prompt n_gen {END}",
    "2024-05": f"{FLAGS_2024} {MODEL} n_batch n_ubatch n_threads type_k type_v n_gpu_layers split_mode main_gpu "
    f"no_kv_offload flash_attn tensor_split use_mmap embeddings n_prompt n_gen {END}",
    "2024-12": f"{NEW} n_batch n_ubatch n_threads {POOL} type_k type_v n_gpu_layers split_mode main_gpu no_kv_offload "
    f"flash_attn tensor_split use_mmap embeddings n_prompt n_gen {END}",
    "2025-04": f"{NEW} n_batch n_ubatch n_threads {POOL} type_k type_v n_gpu_layers split_mode main_gpu no_kv_offload "
    f"flash_attn tensor_split tensor_buft_overrides use_mmap embeddings n_prompt n_gen n_depth {END}",
    "2025-06": f"{NEW} n_batch n_ubatch n_threads {POOL} type_k type_v n_gpu_layers split_mode main_gpu no_kv_offload "
    f"flash_attn tensor_split tensor_buft_overrides defrag_thold use_mmap embeddings no_op_offload n_prompt "
    f"n_gen n_depth {END}",
    "2025-10": f"{NEW} n_batch n_ubatch n_threads {POOL} type_k type_v n_gpu_layers n_cpu_moe split_mode main_gpu "
    f"no_kv_offload flash_attn devices tensor_split tensor_buft_overrides use_mmap embeddings no_op_offload no_host "
    f"n_prompt n_gen n_depth {END}",
    "2026-03": f"{NEW} n_batch n_ubatch n_threads {POOL} type_k type_v n_gpu_layers n_cpu_moe split_mode main_gpu "
    f"no_kv_offload flash_attn devices tensor_split tensor_buft_overrides use_mmap use_direct_io embeddings "
    f"no_op_offload no_host fit_target fit_min_ctx n_prompt n_gen n_depth {END}",
    "2026-07": f"{NEW} n_batch n_ubatch n_threads {POOL} type_k type_v n_gpu_layers n_cpu_moe split_mode main_gpu "
    f"no_kv_offload flash_attn devices tensor_split tensor_buft_overrides load_mode embeddings no_op_offload no_host "
    f"fit_target fit_min_ctx n_prompt n_gen n_depth {END}",
    "2026-09": f"{NEW} n_batch n_ubatch n_threads {POOL} type_k type_v n_gpu_layers n_cpu_moe split_mode main_gpu "
    f"no_kv_offload flash_attn devices tensor_split tensor_buft_overrides load_mode lazy_mode embeddings no_op_offload "
    f"no_host repack fit_target fit_min_ctx n_prompt n_gen n_depth {END}",
}
TEXTS = {
    "build_commit": "0c0ffee1", "cpu_info": "Cortex-A78 \"x8\"", "gpu_info": "", "backends": "CPU",
    "model_filename": "/m/a b.gguf", "model_type": "llama 1B Q4_0", "cpu_mask": "0x0", "type_k": "f16",
    "type_v": "f16", "split_mode": "layer",
    "devices": "auto", "tensor_split": "0.00", "tensor_buft_overrides": "none", "load_mode": "mmap",
    "lazy_mode": "auto", "test_time": "2026-11-26T02:45:18Z",
}  # fmt: skip
NUMBERS = {
    "build_number": 9123, "model_size": 770_000_000, "model_n_params": 1_235_814_432, "n_batch": 2048, "n_ubatch": 512,
    "n_threads": 4, "poll": 50, "n_gpu_layers": 99, "n_cpu_moe": 0, "main_gpu": 0, "no_op_offload": 0, "fit_target": 0,
    "fit_min_ctx": 0, "n_prompt": 512, "n_gen": 0, "n_depth": 0, "avg_ns": 2_000_000_000, "stddev_ns": 0,
    "avg_ts": 256.0, "stddev_ts": 0.0, "defrag_thold": -1.0,
}  # fmt: skip


def row(columns: str, **values: Any) -> dict[str, Any]:
    """A row of a set of columns."""
    bools_of_flash = "n_cpu_moe" not in columns  # it became a number when it could be `auto`
    made: dict[str, Any] = {name: TEXTS.get(name, NUMBERS.get(name, False)) for name in columns.split()}
    if "flash_attn" in made:
        made["flash_attn"] = False if bools_of_flash else -1
    return {**made, "samples_ns": [2_000_000_000, 2_000_000_000], "samples_ts": [256.0, 256.0], **values}


def as_json(*rows: dict[str, Any]) -> str:
    """As `-o json` prints: a list whose rows come one by one."""
    return "[\n" + ",\n".join("  " + json.dumps(r, indent=4) for r in rows) + "\n]\n"


def as_jsonl(*rows: dict[str, Any]) -> str:
    """As `-o jsonl` prints."""
    return "".join(json.dumps(r) + "\n" for r in rows)


@pytest.mark.parametrize("form", [as_json, as_jsonl])
@pytest.mark.parametrize("when", SETS)
def test_every_known_set_of_columns(when: str, form: Any) -> None:
    told = row(SETS[when])
    out = parse(form(told))
    assert (out.fault, out.others, len(out.rows)) == ("", [], 1)
    (found,) = out.rows
    assert found.unknown == ()
    assert found.test == (512, 0, 0)
    assert found.samples_ns == (2_000_000_000, 2_000_000_000)
    assert {name for name, value in found.columns.items() if value is None} == set(COLUMNS) - set(told)
    assert {name: found.columns[name] for name in told if name != "flash_attn"} == {
        name: value for name, value in told.items() if name != "flash_attn"
    }


def test_the_sets_use_every_known_column() -> None:
    assert {name for columns in SETS.values() for name in row(columns)} == set(COLUMNS)


def test_columns_are_found_by_name_in_any_order() -> None:
    told = row(SETS["2026-09"])
    backwards = dict(reversed(told.items()))
    assert parse(as_jsonl(backwards)).rows[0].columns == parse(as_jsonl(told)).rows[0].columns


def test_a_column_of_a_fork_is_kept_as_it_came() -> None:
    (found,) = parse(as_json(row(SETS["2026-09"], mla_attn=3, test="pp512", ser={"a": [1, None]}))).rows
    assert found.unknown == ("mla_attn", "test", "ser")
    assert found.columns["ser"] == {"a": [1, None]}


@pytest.mark.parametrize(("told", "number"), [(False, 0), (True, 1), (-1, -1), (1, 1), ("1", 1)])
def test_flash_attention_is_one_number(told: Any, number: int) -> None:
    assert parse(as_jsonl(row(SETS["2024-05"], flash_attn=told))).rows[0].number("flash_attn") == number


def test_numbers_in_strings_are_numbers_and_others_are_none() -> None:
    (found,) = parse(as_jsonl(row(SETS["2024-05"], n_threads="8", n_batch="many", avg_ts="1.5", use_mmap="1"))).rows
    assert [found.columns[name] for name in ("n_threads", "n_batch", "avg_ts", "use_mmap")] == [8, None, 1.5, True]


@pytest.mark.parametrize(
    ("when", "values", "backends"),
    [
        ("2023-08", {"cuda": True, "blas": True}, ("CUDA", "BLAS")),
        ("2024-05", {"sycl": True}, ("SYCL",)),
        ("2024-05", {}, ()),
        ("2024-12", {}, ()),
        ("2024-12", {"backends": "CUDA,BLAS"}, ("CUDA", "BLAS")),
    ],
)
def test_backends_of_all_times(when: str, values: dict[str, Any], backends: tuple[str, ...]) -> None:
    assert parse(as_json(row(SETS[when], **values))).rows[0].backends == backends


def test_a_row_that_says_nothing_of_backends() -> None:
    assert parse('{"n_prompt": 1, "n_gen": 0, "samples_ns": [5]}').rows[0].backends is None


def test_lines_of_others_are_put_aside() -> None:
    noise = "[INFO] ggml_vulkan: found 1 device\nwarning: debug build, performance may be affected\n"
    out = parse(noise + as_json(row(SETS["2025-04"])) + "\nCtx size: 4096\n")
    assert (out.fault, len(out.rows)) == ("", 1)
    assert out.others[0] == "[INFO] ggml_vulkan: found 1 device"
    assert len(out.others) == 3


def test_windows_line_ends_and_nul_padding() -> None:
    assert parse(as_json(row(SETS["2025-04"])).replace("\n", "\r\n") + "\0\0").fault == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "output_missing"),
        ("usage: llama-bench [options]\n", "output_missing"),
        ("[\n\n]\n", "output_missing"),
        ("[\n", "output_truncated"),
        ('{"n_prompt": 1, "n_gen": 0, "samples_ns": [5]', "output_truncated"),
        ('{"n_prompt": 1, "n_ge', "output_truncated"),
        ('{"n_prompt": 1, "blas": fal', "output_truncated"),
        ("{" + '"a": [' * 100_000, "output_unreadable"),
        ('{"n_prompt": ' + "9" * 5000 + "}", "output_unreadable"),
        ('{"n_prompt": 1 "n_gen": 2, "samples_ns": [5]}', "output_unreadable"),
        ('{"n_prompt": 1, "n_gen": 0}', "output_unreadable"),
        ('{"n_prompt": 1, "n_gen": 0, "samples_ns": []}', "output_unreadable"),
        ('{"n_prompt": 1, "n_gen": 0, "samples_ns": [0]}', "output_unreadable"),
        ('{"n_prompt": 1, "n_gen": 0, "samples_ns": ["x"]}', "output_unreadable"),
        ('{"n_gen": 0, "samples_ns": [5]}', "output_unreadable"),
        ('{"n_prompt": -1, "n_gen": 0, "samples_ns": [5]}', "output_unreadable"),
    ],
)
def test_what_is_wrong_has_a_code_and_a_sentence(text: str, fault: str) -> None:
    out = parse(text)
    assert (out.fault, bool(out.why)) == (fault, True)


def test_whole_rows_before_a_cut_are_kept() -> None:
    whole = as_json(row(SETS["2026-09"]), row(SETS["2026-09"], n_prompt=0, n_gen=128))
    out = parse(whole[: whole.rindex('"samples_ts"')])
    assert (out.fault, [r.test for r in out.rows]) == ("output_truncated", [(512, 0, 0)])


@given(st.integers(min_value=0, max_value=10**6))
def test_an_output_cut_anywhere_is_never_whole(cut: int) -> None:
    whole = as_json(row(SETS["2026-09"]))
    at = cut % whole.rindex("]")
    assert parse(whole[:at]).fault in ("output_truncated", "output_missing")


@given(st.text(alphabet='{}[],":0123456789.eE-ntfals \n\0é', max_size=200))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    parse(text)
