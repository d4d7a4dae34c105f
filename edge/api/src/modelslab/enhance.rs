//! The words that `enhance_prompt` adds, exactly as the service added them in 2023.

/// Added to the prompt.
const PROMPT: &str = " DSLR photography, sharp focus, Unreal Engine 5, Octane Render, Redshift, ((cinematic lighting)), f/1.4, ISO 200, 1/160s, 8K, RAW, unedited, symmetrical balance, in-frame";

/// Stands in for a negative prompt that is empty.
const NEGATIVE_PROMPT: &str = " ((out of frame)), ((extra fingers)), mutated hands, ((poorly drawn hands)), ((poorly drawn face)), (((mutation))), (((deformed))), (((tiling))), ((naked)), ((tile)), ((fleshpile)), ((ugly)), (((abstract))), blurry, ((bad anatomy)), ((bad proportions)), ((extra limbs)), cloned face, glitchy, ((extra breasts)), ((double torso)), ((extra arms)), ((extra hands)), ((mangled fingers)), ((missing breasts)), (missing lips), ((ugly face)), ((fat)), ((extra legs))";

/// The prompt and the negative prompt that are really used.
pub fn enhanced(prompt: &str, negative_prompt: &str) -> (String, String) {
    let negative = if negative_prompt.trim().is_empty() { NEGATIVE_PROMPT } else { negative_prompt };
    (format!("{prompt}{PROMPT}"), negative.to_owned())
}

/// Whether a prompt that ran is an enhanced one.
pub fn is_enhanced(prompt: &str) -> bool {
    prompt.ends_with(PROMPT)
}
