#!/usr/bin/env bash
# A Rust toolchain with a wasm32-unknown-unknown standard library, where rustup cannot fetch one: Debian's compiler, the
# library built from Debian's own source, and the result linked as rustup's toolchain "web". Needs root and apt.
set -euo pipefail
rustlib=/usr/lib/rustlib
target=wasm32-unknown-unknown
scratch=$1

apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends rustc-web cargo-web rust-web-src rust-web-clippy lld-19
mkdir -p "$rustlib/x86_64-unknown-linux-gnu/bin"
ln -sf /usr/lib/llvm-19/bin/lld "$rustlib/x86_64-unknown-linux-gnu/bin/rust-lld"

# Built anew only when the compiler changed: libraries of two compilers side by side would be ambiguous.
built_for=$rustlib/$target/built-for
if [[ $(cat "$built_for" 2>/dev/null) != "$(/usr/bin/rustc --version)" ]]; then
    rm -rf "$scratch"
    mkdir -p "$scratch/src"
    trap 'rm -rf "$scratch"' EXIT
    : >"$scratch/src/lib.rs"
    # `[workspace]`: the scratch folder may lie below somebody else's workspace.
    printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' >"$scratch/Cargo.toml"
    # The library must carry bitcode, or `lto = "fat"` does not link.
    (cd "$scratch" && RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR="$scratch/target" \
        /usr/bin/cargo build --release -Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test --target "$target")
    rm -rf "${rustlib:?}/$target/lib"
    mkdir -p "$rustlib/$target/lib"
    find "$scratch/target/$target/release/deps" -name '*.rlib' ! -name 'libempty*' -exec cp {} "$rustlib/$target/lib/" \;
    /usr/bin/rustc --version >"$built_for"
fi
rustup toolchain link web /usr
