//! The CPU's products with relaxed SIMD, where the browser has it.

use super::wire;
use js_sys::{Function, Object, Reflect, Uint8Array, WebAssembly};
use kernels::cpu::relaxed::{FUNCTIONS, MEMORY, module, places};
use wasm_bindgen::{JsCast as _, JsValue, function_table, memory};

/// Puts them in place of the engine's own, which stay where the browser refuses them.
pub fn install() {
    if let Err(error) = try_install() {
        wire::warn(&format!("relaxed SIMD is left aside: {}", super::error::reason(&error)));
    }
}

fn try_install() -> Result<(), JsValue> {
    let bytes = Uint8Array::from(module().as_slice());
    if !WebAssembly::validate(&bytes)? {
        return Ok(());
    }
    let (imports, ours) = (Object::new(), Object::new());
    Reflect::set(&ours, &MEMORY.into(), &memory())?;
    Reflect::set(&imports, &MEMORY.into(), &ours)?;
    let instance = WebAssembly::Instance::new(&WebAssembly::Module::new(&bytes)?, &imports)?;
    let table: WebAssembly::Table = function_table().unchecked_into();
    for (name, place) in FUNCTIONS.into_iter().zip(places()) {
        let function: Function = Reflect::get(&instance.exports(), &name.into())?.unchecked_into();
        table.set(place, &function)?;
    }
    Ok(())
}
