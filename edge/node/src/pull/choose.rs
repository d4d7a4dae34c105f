//! Which files of a repository make a model.

use anyhow::{Result, bail};

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// Its path within the repository.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// What its bytes hash to, where the server says it.
    pub announced: Option<Announced>,
}

/// What a server says that a file's bytes hash to, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announced {
    /// SHA-256, of large files.
    Sha256(String),
    /// What git calls a file: SHA-1 of its length and its bytes.
    GitBlob(String),
}

/// The folders that hold weights in diffusers' layout.
const PARTS: [&str; 4] = ["unet", "vae", "text_encoder", "text_encoder_2"];
/// The texts beside the weights.
const TEXTS: [&str; 4] = ["tokenizer", "tokenizer_2", "scheduler", ""];

/// The files of `all` that are worth fetching: of a folder in diffusers' layout what is read of it, else the one file of
/// weights, or the one called `wanted`.
pub fn choose(all: Vec<HubFile>, variant: Option<&str>, wanted: Option<&str>) -> Result<Vec<HubFile>> {
    let all: Vec<HubFile> = all.into_iter().filter(|file| is_path(&file.path)).collect();
    if let Some(wanted) = wanted {
        return match all.iter().find(|file| file.path == wanted) {
            Some(file) => Ok(vec![file.clone()]),
            None => bail!("the repository has no file {wanted}"),
        };
    }
    if all.iter().any(|file| file.path == "unet/config.json") {
        return layout(&all, variant);
    }
    let weights = |ending: &str| {
        let fits = |file: &&HubFile| file.path.ends_with(ending) && !file.path.contains('/');
        let fits_variant = |file: &&HubFile| variant.is_none_or(|variant| file.path.contains(variant));
        all.iter().filter(fits).filter(fits_variant).cloned().collect::<Vec<_>>()
    };
    let found = [weights(".gguf"), weights(".safetensors")].concat();
    match found.len() {
        0 => {
            bail!("the repository has neither diffusers' layout nor a .gguf or .safetensors file; pickles are not read")
        }
        1 => Ok(found),
        _ => {
            let names: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
            bail!("the repository has several models; choose one with --file: {}", names.join(", "))
        }
    }
}

/// A path that stays below the folder it is put into.
fn is_path(path: &str) -> bool {
    let fits = |segment: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+ ()".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
    };
    path.split('/').all(fits)
}

fn layout(all: &[HubFile], variant: Option<&str>) -> Result<Vec<HubFile>> {
    let split = |file: &HubFile| {
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        (folder.to_owned(), name.to_owned())
    };
    let is_text = |name: &str| {
        matches!(
            name,
            "config.json"
                | "vocab.json"
                | "merges.txt"
                | "tokenizer_config.json"
                | "special_tokens_map.json"
                | "scheduler_config.json"
                | "model_index.json"
                | "card.json"
        )
    };
    let mut chosen: Vec<HubFile> = all
        .iter()
        .filter(|file| {
            let (folder, name) = split(file);
            (TEXTS.contains(&folder.as_str()) || PARTS.contains(&folder.as_str())) && is_text(&name)
        })
        .cloned()
        .collect();
    for part in PARTS {
        let inside: Vec<&HubFile> = all.iter().filter(|file| split(file).0 == part).collect();
        if inside.is_empty() {
            continue;
        }
        let weights = weights(&inside, variant);
        if weights.is_empty() {
            bail!("the folder {part} has no weights in safetensors; pickles are not read");
        }
        chosen.extend(weights);
    }
    Ok(chosen)
}

/// The weights of a part in the variant that is asked for, else in none, else in any.
fn weights(inside: &[&HubFile], variant: Option<&str>) -> Vec<HubFile> {
    let name = |file: &HubFile| file.path.rsplit('/').next().unwrap_or_default().to_owned();
    let of = |variant: Option<&str>| -> Vec<HubFile> {
        let infix = variant.map_or(String::new(), |variant| format!(".{variant}"));
        let is = |file: &&&HubFile| {
            let name = name(file);
            ["diffusion_pytorch_model", "model"].iter().any(|stem| {
                let Some(rest) = name.strip_prefix(stem) else { return false };
                // `model-00001-of-00002.fp16.safetensors`, `model.safetensors.index.fp16.json` and whole files.
                let is_shard = rest.starts_with('-')
                    && rest.ends_with(&format!("{infix}.safetensors"))
                    && (variant.is_some() || rest.matches('.').count() == 1);
                rest == format!("{infix}.safetensors")
                    || rest == format!(".safetensors.index{infix}.json")
                    || rest == format!("{infix}.safetensors.index.json")
                    || is_shard
            })
        };
        let found: Vec<HubFile> = inside.iter().filter(is).map(|file| (*file).clone()).collect();
        // A whole file makes its shards superfluous.
        let whole = found.iter().find(|file| name(file).ends_with(&format!("model{infix}.safetensors")));
        whole.map_or_else(|| found.clone(), |whole| vec![whole.clone()])
    };
    let wanted = variant.map(|variant| of(Some(variant))).unwrap_or_default();
    let plain = || of(None);
    let usual = || of(Some("fp16"));
    [wanted].into_iter().chain([plain(), usual()]).find(|found| !found.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(paths: &[&str], variant: Option<&str>) -> Vec<String> {
        let files = paths.iter().map(|path| HubFile { path: (*path).to_owned(), size: 1, announced: None }).collect();
        choose(files, variant, None).unwrap().into_iter().map(|file| file.path).collect()
    }

    #[test]
    fn a_variant_is_taken_where_it_is() {
        let paths = [
            "model_index.json",
            "README.md",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.bin",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
            "text_encoder/model-00001-of-00002.safetensors",
            "text_encoder/model-00002-of-00002.safetensors",
            "text_encoder/model.safetensors.index.json",
            "safety_checker/model.safetensors",
            "tokenizer/vocab.json",
        ];
        let fp16 = chosen(&paths, Some("fp16"));
        assert!(fp16.contains(&"unet/diffusion_pytorch_model.fp16.safetensors".to_owned()));
        assert!(!fp16.contains(&"unet/diffusion_pytorch_model.safetensors".to_owned()));
        assert!(fp16.contains(&"vae/diffusion_pytorch_model.safetensors".to_owned()));
        assert_eq!(fp16.iter().filter(|path| path.starts_with("text_encoder/")).count(), 3);
        assert!(!fp16.iter().any(|path| path.contains("safety") || path.ends_with("bin") || path.ends_with("md")));
        assert!(chosen(&paths, None).contains(&"unet/diffusion_pytorch_model.safetensors".to_owned()));
    }

    #[test]
    fn one_file_is_a_model_and_several_are_a_question() {
        assert_eq!(chosen(&["x.gguf", "README.md", "../evil.gguf"], None), ["x.gguf"]);
        let file = |path: &str| HubFile { path: path.to_owned(), size: 1, announced: None };
        let two = vec![file("a.gguf"), file("b.gguf")];
        assert!(choose(two.clone(), None, None).unwrap_err().to_string().contains("a.gguf, b.gguf"));
        assert_eq!(choose(two, None, Some("b.gguf")).unwrap().len(), 1);
        assert!(choose(vec![file("model.ckpt")], None, None).is_err());
    }
}
