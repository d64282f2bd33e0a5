"""The card of a trained model: what it was made from and how, in a README that the Hub reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.selection import tell
from training.output import called

_TRAININGS = {
    "dpo": "direct preference optimisation with a likelihood term on the chosen side",
    "rft": "rejection-sampling fine-tuning of the refiner, on the assistant's last turn",
    "sft": "supervised fine-tuning on the assistant's turns",
    "sft (actor)": "supervised fine-tuning of a first actor on a teacher's answers",
    "sft (refiner)": "supervised fine-tuning of a first refiner on a teacher's judgements and "
    "refinements, the last turn of each chat",
}
_TOLD = (
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "num_train_epochs", "max_steps"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "processes", "max_length"),
    *("beta", "loss_type", "loss_weights", "dtype", "bf16", "use_peft", "lora_r", "lora_alpha"),
    "seed",
)


def write_card(record: dict[str, Any], folder: Path) -> None:
    """Write `README.md`: data with its fingerprint, settings, results and lineage."""
    (folder / "README.md").write_text(_card(record, folder.name))


def _card(record: dict[str, Any], name: str) -> str:
    job, model, data, result = (record[key] for key in ("job", "model", "data", "result"))
    settings = {key: record["settings"][key] for key in _TOLD if key in record["settings"]}
    front = {
        **({} if model["content"] else {"base_model": model["name"]}),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["trl", job, "spar"],
    }
    ancestors = [*record["lineage"], record]
    return "\n".join(
        [
            "---",
            *(f"{key}: {json.dumps(value)}" for key, value in front.items()),
            "---",
            "",
            f"# {name}",
            "",
            f"`{model['name']}` after {_TRAININGS[called(record)]} (SPaR, arXiv 2412.11605).",
            "",
            "![loss and rewards over steps](curves.png)",
            "",
            "## Data",
            "",
            *_table({k: v for k, v in data.items() if k != "kinds"}),
            "",
            *_kinds(data),
            "## Settings",
            "",
            *_table(settings),
            "",
            "All of them stand in `training.json`.",
            "",
            "## Result",
            "",
            *_table({k: v for k, v in result.items() if k not in ("first", "final")}),
            "",
            "| number | first step | last step |",
            "|---|---|---|",
            *(
                f"| {key} | {result['first'].get(key, float('nan')):.4g} | {value:.4g} |"
                for key, value in result["final"].items()
            ),
            "",
            "## Lineage",
            "",
            *(
                f"{number}. {called(a)} of `{a['model']['name']}` on {a['data']['examples']} "
                f"examples of `{a['data']['source']}` ({_told(a['data'])})"
                for number, a in enumerate(ancestors, 1)
            ),
            "",
            "## Versions",
            "",
            *_table(record["versions"]),
            "",
        ]
    )


def _kinds(data: dict[str, Any]) -> list[str]:
    """How many rows are of which method and variant, where the data says so."""
    kinds = data.get("kinds")
    if not kinds:
        return []
    rows = [f"| {' | '.join(_code(value) for value in kind.values())} |" for kind in kinds]
    return [f"| {' | '.join(kinds[0])} |", "|---" * len(kinds[0]) + "|", *rows, ""]


def _told(data: dict[str, Any]) -> str:
    kinds = f"{_code(tell(data['kinds']))}, " if data.get("kinds") else ""
    return f"{kinds}data {data['fingerprint']}"


def _table(values: dict[str, Any]) -> list[str]:
    rows = [f"| {key} | {_code(value)} |" for key, value in values.items()]
    return ["| | |", "|---|---|", *rows]


def _code(value: Any) -> str:
    return f"`{' '.join(str(value).split()).replace('|', '¦')}`"
