# The one list of what can be done. `make` alone prints it.

# One feature set for everything, so that each thing is built once.
W := --workspace --features custom-protocol
UI := ui/node_modules/.stamp
PEER := tests/support/oidc-provider/node_modules/.stamp
UI_SOURCES := $(shell find ui/src ui/index.html ui/vite.config.ts src-tauri/core/messages -type f 2>/dev/null)

help:
	@printf '%s\n' \
	  'make run     installs what is missing, builds, and opens the window with a demonstration provider' \
	  'make demo    plays the whole story without a screen; pictures in target/demo/' \
	  'make test    every test' \
	  'make looks   the pages of the window: accessible, and as they looked when somebody last looked' \
	  'make soak    what takes hours to show: every crash point, long random lives, load, fuzzing (as root)' \
	  'make fuzz    makes up what comes from outside, FUZZ_SECONDS for each kind' \
	  'make bench   measures what Larder costs (as root, on a quiet machine)' \
	  'make check   formatting, lints, licences, known flaws, types' \
	  'make sbom    writes down what is in a build, into target/sbom' \
	  'make build   builds everything, for this machine' \
	  'make pages   writes manual pages and shell completions into target/tmp/pages' \
	  'make package a .deb and an .rpm in target/release/bundle, looked over' \
	  'make package-test installs the .deb on a clean system, signs in, upgrades, and removes it (as root)' \
	  'make book    the pages of docs/ as a book, in target/book' \
	  'make release the same, optimised, as it is shipped' \
	  'make clean   removes what was built'

run: packages
	@if [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ] && [ "$$(uname -s)" != Darwin ]; then \
	  echo 'larder: there is no display here, so no window can open; playing the story without a screen instead.'; \
	  $(MAKE) --no-print-directory demo; \
	else \
	  $(MAKE) --no-print-directory build && target/debug/larder-desktop --demo; \
	fi

demo: test-packages build
	cargo test $(W) --test demo

# Programs and tests in one go: tests bring features of their own, and what is built without them would be built once more.
build-tests: ui/dist/index.html
	cargo build $(W) --lib --bins --tests

test: test-packages build-tests $(PEER)
	cd ui && npm test
	cargo test $(W) --doc
	cargo test $(W) --lib --bins --tests

# The window's pages in a browser, as axe-core sees them, and beside the pictures of them that are kept in ui/looks.
looks: test-packages $(UI)
	cd ui && npm run axe && npm run looks

# Each line is a part that can be run by itself; docs/RELIABILITY.md says what each shows.
soak: bench-packages build $(PEER)
	LARDER_MODEL_STEPS=100000 cargo test $(W) --test model -- --nocapture
	cargo test $(W) --bench soak -- --nocapture --test-threads 1
	LARDER_MONTHS=40 cargo test $(W) -p larder-core --test thirty_days -- --nocapture
	$(MAKE) fuzz

# Finds go to target/fuzz; what is worth keeping goes from there to src-tauri/fuzz/corpus, and `make test` has it from then on.
FUZZ_SECONDS ?= 600
FUZZ := callback token_response metadata resource id_token providers policy settings frames row export
fuzz: packages
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked --debug cargo-fuzz --version '^0.13'
	@for target in $(FUZZ); do .ci/fuzz $$target $(FUZZ_SECONDS) || exit 1; done

# What is shipped, and what is measured. The command is linked statically where that can be done, because loading
# libraries is a fifth of the time that it takes.
release: packages ui/dist/index.html
	cargo build --release $(W)
ifeq ($(shell uname -s),Linux)
	cargo rustc --release -p larder-cli --bin larder -- -C target-feature=+crt-static
endif

bench: bench-packages release
	cargo build --release --manifest-path tests/bench/blank/Cargo.toml --target-dir target
	cargo bench --features custom-protocol --bench bench

# What is not a program of its own is laid out first.
package: package-packages release pages sbom
	src-tauri/app/package/stage
	rm -rf target/release/bundle
	ui/node_modules/.bin/tauri bundle --bundles deb,rpm --config target/package/tauri.json
	src-tauri/app/package/look-over

# The programs are built as a lower version, to be upgraded from, and then as this one again.
package-test: package-packages ui/dist/index.html
	@ls target/release/bundle/deb/*.deb >/dev/null 2>&1 || $(MAKE) --no-print-directory package
	src-tauri/app/package/lower
	cargo build $(W) --bins --test pages
	cargo test $(W) --bench package -- --nocapture

check: packages ui/dist/index.html
	cargo fmt --all --check
	cargo clippy $(W) --all-targets -- -D warnings
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked --debug cargo-deny --version '^0.20'
	cargo deny --log-level error check bans licenses sources
	.ci/advisories
	cd ui && npm run check && npm run format:check
	cargo test $(W) --lib -p larder-core export_bindings
	git diff --exit-code -- ui/src/generated
	cargo test $(W) --test main architecture

# What is in a build, as CycloneDX: the crates of every program, and the packages that the window is made with.
sbom:
	@cargo sbom --version >/dev/null 2>&1 || cargo install --locked --debug cargo-sbom --version '^0.10'
	@mkdir -p target/sbom
	cargo sbom --output-format cyclone_dx_json_1_6 > target/sbom/larder.cdx.json
	cd ui && npm sbom --sbom-format cyclonedx --package-lock-only > ../target/sbom/window.cdx.json

pages:
	cargo test $(W) --test pages

# A search index of its own is what most of mdBook's other features are about.
book:
	@mdbook --version >/dev/null 2>&1 || cargo install --locked --debug mdbook --version '^0.5' --no-default-features --features search
	mdbook build docs

build: ui/dist/index.html
	cargo build $(W)

packages:
	@.ci/packages

test-packages:
	@.ci/packages tests

bench-packages:
	@.ci/packages bench

package-packages:
	@.ci/packages package

# npm ci is slow and deletes what is there, so it runs only when the lock file is newer.
%/node_modules/.stamp: %/package-lock.json
	cd $* && npm ci
	@touch $@

ui/dist/index.html: $(UI) $(UI_SOURCES)
	cd ui && npm run build

clean:
	cargo clean
	rm -rf ui/dist ui/node_modules

.PHONY: help run demo test looks soak fuzz bench pages sbom book release package package-test check build build-tests packages test-packages bench-packages package-packages clean
