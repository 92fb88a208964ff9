# Everything a person or CI runs. `make quickstart` and `make test` do all the set-up themselves.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build quickstart test interop interop-extra packages page-test pictures check fmt words clippy doc deny bench bench-augment bench-probe bench-shards parity-augment measure-copies measure-index measure-quickstart measure-map measure-checkpoint measure-store measure-scale measure-build measure-slides drill gpu-check bench-loader bench-ranks bench-step parity-full prove-same prove-statistics schemas fuzz golden tutorial-test docs docs-check reference clean-quickstart

CUDA ?=
Q := ./quickstart
BIN := target/debug
INTEROP := .venv-interop
EXTRA := .venv-extra
PAGE := .venv-page
AUGMENT := .venv-augment
SHARDS := .venv-shards
MAP := .venv-map
SLIDES := .venv-slides
TOOLS := .tools/deny

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: ## fetch LibTorch into .libtorch/ and the packages that builds need (CUDA=1: the CUDA build)
	@scripts/setup.sh $(if $(CUDA),cuda,)

build: setup ## build the three programs
	cargo build --locked --workspace --bins

quickstart: build ## try everything on synthetic smears: shards → training → scores → a report, in ./quickstart (3 to 5 minutes, and compiling)
	@scripts/quickstart.sh $(Q) $(BIN)

tutorial-test: quickstart ## run the commands of docs/tutorial.md on the quickstart's output
	@scripts/tutorial-test.sh $(Q) $(BIN)

test: setup ## all tests that need no Python torch
	@scripts/test.sh

interop: $(INTEROP)/.stamp build ## check against torch, timm, pyarrow, DuckDB and Hugging Face datasets
	@scripts/interop.sh $(INTEROP)/bin/python $(BIN)

interop-extra: $(EXTRA)/.stamp build ## check against tools with large packages (7 GB): embedding-atlas
	@scripts/interop-extra.sh $(EXTRA)/bin/python $(BIN)

$(EXTRA)/.stamp: tests/interop/requirements-extra.txt
	@scripts/venv.sh $(EXTRA) tests/interop/requirements-extra.txt

$(INTEROP)/.stamp: tests/interop/requirements.txt
	@scripts/venv.sh $(INTEROP) tests/interop/requirements.txt

page-test: $(PAGE)/.stamp build ## the pages of report and dashboard in Chromium: scripts, keyboard, axe-core, phone, print (SHOTS=folder keeps pictures)
	@scripts/page-test.sh $(PAGE)/bin/python $(BIN) $(SHOTS)

$(PAGE)/.stamp: tests/page/requirements.txt
	@scripts/venv.sh $(PAGE) tests/page/requirements.txt

packages: $(INTEROP)/.stamp $(PAGE)/.stamp ## install what interop and page-test need beside the programs
	@scripts/setup-chromium.sh || true # page-test says what that means

pictures: $(PAGE)/.stamp ## the README's picture of a report, from that of `make quickstart`
	@scripts/pictures.sh $(PAGE)/bin/python $(Q)

check: fmt words clippy doc deny ## formatting, words, lints, documentation, dependencies

fmt:
	cargo fmt --all --check

words: ## phrases that readers stumbled over, in pages and Rust sources, and links between pages; needs Python alone
	@scripts/words-check.py --rust
	@scripts/check-links.py

clippy: setup
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc: setup
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

docs: .tools/mdbook/bin/mdbook ## the documentation as a site, in target/book (builds mdBook first)
	@.tools/mdbook/bin/mdbook build

.tools/mdbook/bin/mdbook:
	cargo install --locked --quiet --root .tools/mdbook --version 0.4.52 --no-default-features --features search mdbook

docs-check: build ## links between pages lead somewhere; reference pages are what schemas and programs say
	@scripts/check-links.py
	@scripts/config-reference.py --check
	@scripts/command-reference.py --bin $(BIN) --check

reference: build ## rewrite docs/reference/ from schemas and programs
	@scripts/config-reference.py
	@scripts/command-reference.py --bin $(BIN)

deny: ## dependency checks that need no network: bans, licences, sources
	@scripts/deny.sh $(TOOLS)

bench: build ## this machine's matrix-product rate and seconds per step, in one run
	$(BIN)/worker bench

bench-augment: $(AUGMENT)/.stamp ## time the augmentation and Albumentations 1.3.1, in one run
	cargo build --locked -p augment-bench
	$(AUGMENT)/bin/python bench/augment/peer.py $(BIN)/augment-bench

$(AUGMENT)/.stamp: tests/golden/requirements-augment.txt
	@scripts/venv.sh $(AUGMENT) tests/golden/requirements-augment.txt

bench-probe: $(INTEROP)/.stamp ## time the converged linear probes and scikit-learn's, in one run
	cargo build --locked -p probe --example fit_linear
	$(INTEROP)/bin/python bench/probe/peer.py $(BIN)/examples/fit_linear

bench-shards: build $(SHARDS)/.stamp ## time shard sets, Pillow + pyarrow, mosaicml-streaming and WebDataset, in one run
	cargo build --locked -p shards-bench
	$(SHARDS)/bin/python bench/shards/peer.py $(BIN) ../shared/data

$(SHARDS)/.stamp: bench/shards/requirements.txt
	@scripts/venv.sh $(SHARDS) bench/shards/requirements.txt

parity-augment: $(AUGMENT)/.stamp ## compare every transform with Albumentations on real patches of ../shared/data
	bench/augment/parity.sh $(AUGMENT)/bin/python ../shared/data

measure-copies: setup ## recall and precision of the search for copies, on the images of ../shared/data; what comparing all with all takes (ten minutes)
	REDDINO_MEASURE_COPIES=1 cargo test --locked --workspace --test shard_builder copies:: -- --nocapture
	REDDINO_MEASURE_COPIES=1 cargo test --locked --workspace --lib how_long -- --nocapture

measure-index: ## how the search for likely copies grows, on synthetic fingerprints of up to 10^6 images (N=10000000 for more; an hour)
	REDDINO_MEASURE_INDEX=$(or $(N),1000000) cargo test --locked --workspace --lib how_long_the_index -- --nocapture

measure-map: $(MAP)/.stamp ## compare maps of features with umap-learn's: trustworthiness, continuity and seconds, in one run
	cargo build --locked -p feature-map --example measure_map
	$(MAP)/bin/python bench/map/peer.py $(BIN)/examples/measure_map

$(MAP)/.stamp: tests/golden/requirements-map.txt
	@scripts/venv.sh $(MAP) tests/golden/requirements-map.txt

measure-quickstart: build ## the quickstart on five drawings of its synthetic smears, and a table of their verdicts (20 minutes)
	@scripts/measure-quickstart.sh $(Q)-measured $(BIN)

measure-checkpoint: setup ## what checkpoints cost: stall, peak memory, seconds of writing, beside a copy in memory (SIZES="1 5" GiB; 5 needs 16 GB)
	cargo build --locked --workspace --example measure_checkpoint
	@env OMP_WAIT_POLICY=passive MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=67108864 \
	  $(BIN)/examples/measure_checkpoint $(or $(SIZES),1)

gpu-check: build ## a bundle for a machine with GPUs, in target/gpu-check-bundle.tar.gz: parity, NCCL, images/s, memory, in eight minutes there (DEVICE=cpu PYTHON=…: rehearse it here)
	@scripts/gpu-bundle.sh target/gpu-check-bundle $(BIN)
	@$(if $(DEVICE),DEVICE=$(DEVICE) $(or $(PYTHON),python3) target/gpu-check-bundle/check.py,echo "there: tar -xzf gpu-check-bundle.tar.gz && python gpu-check-bundle/check.py")

drill: build ## what happens to a run when a rank, node, launcher, store or controller fails: all cells and 60 random kills (an hour; root, Slurm, S3); writes docs/drill.md
	REDDINO_REQUIRE=mpi,slurm,s3 REDDINO_DRILL=docs/drill.md cargo test --locked --workspace --test system the_whole_drill -- --nocapture

measure-store: build ## time and memory of the commands that read a whole store, on 1,000 drawn trials
	@scripts/measure-store.sh $(BIN)

measure-scale: build ## a set of 1,250,781 tiny patches: build, split, verify, plan, first batch, with time and memory
	@scripts/measure-scale.sh $(BIN) target/measure-scale

measure-build: build ## where the time of a build goes, with one thread and with two, on 3,060 drawn fields (IMAGES of each of 18 sources; some minutes)
	@scripts/measure-build.sh $(BIN) target/measure-build $(IMAGES)

measure-slides: build $(SLIDES)/.stamp ## a drawn slide of 40,000 × 40,000 px to patches: seconds, peak memory, differences from tifffile (SIDE=8000 for a smaller one; 10 GB of disk)
	$(SLIDES)/bin/python bench/slides/measure.py $(BIN)/shard-builder target/measure-slides $(SIDE)

$(SLIDES)/.stamp: bench/slides/requirements.txt
	@scripts/venv.sh $(SLIDES) bench/slides/requirements.txt

bench-ranks: build $(INTEROP)/.stamp ## what several processes cost, compared with PyTorch's Gloo in the same run
	@scripts/bench-ranks.sh $(INTEROP)/bin/python $(BIN)

bench-loader: build ## images per second that a core reads, decodes and augments, and the cores that a GPU of each kind needs (SET=URI: your own set)
	@scripts/bench-loader.sh $(BIN) $(SET)

bench-step: build $(INTEROP)/.stamp ## time and peak memory of a training step, and of the same step in plain PyTorch and under torch.compile (an hour)
	@bench/step.sh $(INTEROP)/bin/python $(BIN)

parity-full: setup $(INTEROP)/.stamp ## compare one step of ViT-S, B, L, g at true depth with PyTorch (SIZES="small base" for some; g needs some 26 GB, swap counts)
	@scripts/parity-full.sh $(INTEROP)/bin/python $(SIZES)

prove-same: build ## build another commit (BASE=…) and prove that both write the same sets, checkpoints, rows and pictures (half an hour)
	@scripts/prove-same.sh $(or $(BASE),HEAD~1) $(BIN)

prove-statistics: ## simulate 2,000 sweeps per design: coverage of the intervals, false verdicts (a quarter of an hour)
	REDDINO_PROVE_STATISTICS=1 cargo test --locked --workspace --test statistics prove_statistics -- --nocapture

fuzz: ## fuzz image decoder, manifest and shard reader for ten minutes each (FUZZ_SECONDS=600)
	@scripts/fuzz.sh $(or $(FUZZ_SECONDS),600)

schemas: build ## rewrite configs/schema/ from the types of the programs
	$(BIN)/shard-builder schema >configs/schema/source.json
	$(BIN)/shard-builder schema sampling >configs/schema/sampling.json
	$(BIN)/orchestrator schema train >configs/schema/train.json
	$(BIN)/orchestrator schema sweep >configs/schema/sweep.json
	@scripts/config-reference.py

golden: $(INTEROP)/.stamp ## rewrite the golden files from their scripts
	@scripts/golden.sh $(INTEROP)/bin/python

clean-quickstart:
	rm -rf $(Q)
