//! Steering, repainting, second passes and enlarging, as users of the program do them, on the small models of `tests/golden/data`.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

mod support;

use golden::{Data, Tensors, read_all, to_safetensors};
use image::{Rgb, RgbImage};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use support::{refused, run};
use tempfile::TempDir;

/// A folder of one test's own, with a model in it.
struct Folder(TempDir);

impl Folder {
    fn new(model: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let files = Data::folder().model(model).unwrap();
        let (vae_config, vae) = files.vae.unwrap();
        for (file, text) in [
            ("unet/config.json", &files.unet_config),
            ("vae/config.json", &vae_config),
            ("text_encoder/config.json", &files.text_config),
            ("scheduler/scheduler_config.json", &files.scheduler_config),
            ("tokenizer/vocab.json", &files.vocab),
            ("tokenizer/merges.txt", &files.merges),
            ("tokenizer/tokenizer_config.json", &json!({ "pad_token": files.pad_token }).to_string()),
        ] {
            folder.write(&format!("model/{file}"), text.as_bytes());
        }
        for (file, part) in [
            ("unet/diffusion_pytorch_model.safetensors", files.unet),
            ("vae/diffusion_pytorch_model.safetensors", vae),
            ("text_encoder/model.safetensors", files.text_encoder),
        ] {
            folder.write(&format!("model/{file}"), &to_safetensors(&read_all(&*part.source).unwrap()).unwrap());
        }
        folder
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    /// A picture of some colours.
    fn picture(&self, name: &str, width: u32, height: u32) -> String {
        let path = self.file(name);
        let colour = |x: u32, y: u32| Rgb([(x * 3 % 256) as u8, (y * 5 % 256) as u8, ((x + y) % 200) as u8]);
        RgbImage::from_fn(width, height, colour).save(&path).unwrap();
        path
    }

    /// White in a rectangle from `(left, top)` to before `(right, bottom)`, and black around it.
    fn mask(&self, [width, height]: [u32; 2], [left, top, right, bottom]: [u32; 4]) -> String {
        let path = self.file("mask.png");
        let is_inside = |x, y| (left..right).contains(&x) && (top..bottom).contains(&y);
        RgbImage::from_fn(width, height, |x, y| Rgb([if is_inside(x, y) { 255 } else { 0 }; 3])).save(&path).unwrap();
        path
    }

    fn generate(&self, out: &str, more: &[&str]) -> (String, RgbImage) {
        let (model, out) = (self.file("model"), self.file(out));
        let said = run(&[&usual(&model, &out), more].concat());
        (said, image::open(out).unwrap().into_rgb8())
    }

    fn refused(&self, more: &[&str]) -> String {
        let (model, out) = (self.file("model"), self.file("refused.png"));
        refused(&[&usual(&model, &out), more].concat())
    }
}

fn usual<'a>(model: &'a str, out: &'a str) -> [&'a str; 11] {
    ["generate", "--model", model, "--out", out, "--prompt", "a bowl of soup", "--seed", "3", "--steps", "2"]
}

/// A file that was recorded from the reference.
fn recorded(path: &str) -> String {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data");
    folder.join(path).display().to_string()
}

const SIZE: [&str; 4] = ["--width", "64", "--height", "64"];

#[test]
fn networks_steer_from_folders_and_from_files_alike() {
    let folder = Folder::new("tiny-sd15");
    let picture = folder.picture("control.png", 80, 64);
    let (first, second) = (recorded("models/tiny-controlnet-0"), recorded("models/tiny-controlnet-1"));
    let with = |out: &str, more: &[&str]| folder.generate(out, &[&SIZE, more].concat()).1;
    let plain = with("plain.png", &[]);
    let one = ["--control-net", &first, "--control-image", &picture];
    let steered = with("one.png", &one);
    assert_ne!(plain, steered);
    assert_eq!(plain, with("none.png", &[&one[..], &["--control-weight", "0"]].concat()));
    assert_ne!(steered, with("guess.png", &[&one[..], &["--guess-mode"]].concat()));
    assert_ne!(steered, with("late.png", &[&one[..], &["--control-start", "0.5"]].concat()));
    assert_ne!(steered, with("canny.png", &[&one[..], &["--control-preprocessor", "canny:20:60"]].concat()));
    let network = recorded("models/tiny-line-art/model.safetensors");
    let lines = ["--control-preprocessor", "line-art", "--line-art-network", &network];
    assert_ne!(steered, with("lines.png", &[&one[..], &lines].concat()));
    let network = recorded("models/tiny-depth");
    let depth = ["--control-preprocessor", "depth", "--depth-network", &network];
    assert_ne!(steered, with("depth.png", &[&one[..], &depth].concat()));
    let two = [&one[..], &["--control-net", &second, "--control-image", &picture], &["--control-weight", "0.5"]];
    assert_ne!(steered, with("two.png", &two.concat()));

    let told = run(&["inspect", &folder.file("late.png")]);
    assert!(told.contains("ControlNet 0: \"Module: none, Model: tiny-controlnet-0 ["), "{told}");
    assert!(
        told.contains("], Weight: 1, Resize Mode: Crop and Resize, Guidance Start: 0.5, Guidance End: 1, "),
        "{told}"
    );

    let file = format!("{first}/diffusion_pytorch_model.safetensors");
    let published = folder.write("published.safetensors", &to_safetensors(&original_names(&file)).unwrap());
    for file in [&file, &published] {
        let again = with("again.png", &["--control-net", file, "--control-image", &picture]);
        assert_eq!(steered, again, "{file}");
    }
}

/// The tensors of a small ControlNet under the names of its authors.
fn original_names(file: &str) -> Tensors {
    let tensors = read_all(&*weights::open_path(Path::new(file)).unwrap()).unwrap();
    let parts = [
        ("controlnet_cond_embedding.conv_in.", "input_hint_block.0."),
        ("controlnet_cond_embedding.conv_out.", "input_hint_block.14."),
        ("controlnet_mid_block.", "middle_block_out.0."),
        ("conv_in.", "input_blocks.0.0."),
        ("time_embedding.linear_1.", "time_embed.0."),
        ("time_embedding.linear_2.", "time_embed.2."),
        ("mid_block.resnets.0.", "middle_block.0."),
        ("mid_block.attentions.0.", "middle_block.1."),
        ("mid_block.resnets.1.", "middle_block.2."),
        ("down_blocks.0.resnets.0.", "input_blocks.1.0."),
        ("down_blocks.0.attentions.0.", "input_blocks.1.1."),
        ("down_blocks.0.downsamplers.0.conv.", "input_blocks.2.0.op."),
        ("down_blocks.1.resnets.0.", "input_blocks.3.0."),
        ("down_blocks.1.attentions.0.", "input_blocks.3.1."),
        ("down_blocks.1.downsamplers.0.conv.", "input_blocks.4.0.op."),
        ("down_blocks.2.resnets.0.", "input_blocks.5.0."),
    ];
    let residual = [
        ("norm1.", "in_layers.0."),
        ("conv1.", "in_layers.2."),
        ("time_emb_proj.", "emb_layers.1."),
        ("norm2.", "out_layers.0."),
        ("conv2.", "out_layers.3."),
        ("conv_shortcut.", "skip_connection."),
    ];
    let rename = |name: &str| {
        if let Some((at, rest)) = name.strip_prefix("controlnet_cond_embedding.blocks.").and_then(|n| n.split_once('.'))
        {
            return format!("input_hint_block.{}.{rest}", 2 * (at.parse::<usize>().unwrap() + 1));
        }
        if let Some((at, rest)) = name.strip_prefix("controlnet_down_blocks.").and_then(|name| name.split_once('.')) {
            return format!("zero_convs.{at}.0.{rest}");
        }
        let find = |(from, to): &(&str, &str)| Some((name.strip_prefix(from)?.to_owned(), (*to).to_owned()));
        let (rest, start) = parts.iter().find_map(find).unwrap();
        let part = residual.iter().find_map(|(from, to)| Some(format!("{to}{}", rest.strip_prefix(from)?)));
        format!("{start}{}", if name.contains("resnets") { part.unwrap() } else { rest })
    };
    tensors.into_iter().map(|(name, tensor)| (format!("control_model.{}", rename(&name)), tensor)).collect()
}

#[test]
fn networks_that_do_not_fit_are_refused_with_a_sentence() {
    let folder = Folder::new("tiny-sd15");
    let picture = folder.picture("control.png", 64, 64);
    let net = recorded("models/tiny-controlnet-0");
    let xl = recorded("models/tiny-controlnet-xl");
    let other = recorded("models/tiny-sd15/unet/diffusion_pytorch_model.safetensors");
    let with = |net: &str, more: &[&str]| {
        folder.refused(&[&SIZE, &["--control-net", net, "--control-image", &picture], more].concat())
    };
    for (error, sentence) in [
        (with(&xl, &[]), "the ControlNet does not fit this model"),
        (with(&other, &[]), "is no ControlNet: it has neither `controlnet_cond_embedding`"),
        (with("/nowhere", &[]), "/nowhere"),
        (with(&net, &["--control-end", "2"]), "2 is no share of the steps"),
        (with(&net, &["--control-preprocessor", "sketch"]), "`sketch` is no preprocessor"),
        (with(&net, &["--control-preprocessor", "depth"]), "depth needs --depth-network"),
        (with(&net, &["--control-preprocessor", "line-art"]), "line-art needs --line-art-network"),
        (folder.refused(&["--control-net", &net]), "every network needs its picture"),
    ] {
        assert!(error.contains(sentence), "{error}");
    }
}

#[test]
fn outside_a_mask_every_byte_stays() {
    for model in ["tiny-sd15", "tiny-sd15-inpaint"] {
        let folder = Folder::new(model);
        let init = folder.picture("init.png", 96, 64);
        let old = image::open(&init).unwrap().into_rgb8();
        let mask = folder.mask([96, 64], [20, 10, 60, 40]);
        let with =
            |more: &[&str]| folder.generate("x.png", &[&["--init-image", &init, "--mask", &mask], more].concat()).1;
        for content in ["original", "fill", "noise", "nothing"] {
            let new = with(&["--masked-content", content, "--strength", "0.9"]);
            assert_eq!(new.dimensions(), (96, 64));
            let mut changed = 0;
            for (x, y, pixel) in new.enumerate_pixels() {
                let is_inside = (20..60).contains(&x) && (10..40).contains(&y);
                changed += u32::from(pixel != old.get_pixel(x, y));
                assert!(is_inside || pixel == old.get_pixel(x, y), "{content}: {x} {y}");
            }
            assert!(changed > 1000, "{content}: {changed}");
        }
        let inverted = with(&["--invert-mask"]);
        assert_eq!(inverted.get_pixel(30, 20), old.get_pixel(30, 20));
        assert_ne!(inverted.get_pixel(5, 5), old.get_pixel(5, 5));
        let blurred = with(&["--mask-blur", "2", "--mask-cells", "corner"]);
        assert_eq!(blurred.get_pixel(10, 50), old.get_pixel(10, 50));
        let soft =
            (20..60).flat_map(|x| [(x, 8), (x, 9)]).filter(|&(x, y)| blurred.get_pixel(x, y) != old.get_pixel(x, y));
        assert!(soft.count() > 20);
    }
}

#[test]
fn only_what_is_masked_is_drawn_and_put_back() {
    let folder = Folder::new("tiny-sd15");
    // No model draws such a size.
    let init = folder.picture("init.png", 150, 101);
    let old = image::open(&init).unwrap().into_rgb8();
    let mask = folder.mask([150, 101], [100, 50, 130, 70]);
    let masked = ["--init-image", &init, "--mask", &mask];
    let only = ["--only-masked", "--only-masked-padding", "8", "--mask-blur", "1"];
    let (said, new) = folder.generate("x.png", &[&masked[..], &only, &SIZE].concat());
    assert!(said.contains("150x101"), "{said}");
    let told = run(&["inspect", &folder.file("x.png")]);
    assert!(told.contains("Mask blur: 1, Inpaint area: Only masked, Masked area padding: 8"), "{told}");
    assert_eq!(new.dimensions(), (150, 101));
    let changed = |x, y| new.get_pixel(x, y) != old.get_pixel(x, y);
    assert!((0..150).all(|x| (0..101).all(|y| !changed(x, y) || ((97..133).contains(&x) && (47..73).contains(&y)))));
    assert!((100..130).any(|x| changed(x, 60)));

    let error = folder.refused(&masked);
    assert!(error.contains("the picture's own size cannot be drawn") && error.contains("--only-masked"), "{error}");
    let black = folder.mask([150, 101], [0; 4]);
    let error = folder.refused(&[&["--init-image", &init, "--mask", &black], &only[..], &SIZE].concat());
    assert!(error.contains("the mask is black everywhere"), "{error}");
    let small = folder.mask([64, 64], [0, 0, 9, 9]);
    let error = folder.refused(&["--init-image", &init, "--mask", &small]);
    assert!(error.contains("is 64 x 64, but the picture is 150 x 101"), "{error}");
}

/// The part of a picture that a region of 32 x 32 pixels has, drawn by hand, is what `--only-masked` draws of it.
#[test]
fn a_network_steers_the_masked_part_by_the_same_part_of_its_picture() {
    let folder = Folder::new("tiny-sd15");
    let (init, net) = (folder.picture("init.png", 150, 101), recorded("models/tiny-controlnet-0"));
    let mask = folder.mask([150, 101], [100, 50, 120, 70]);
    let control = folder.file("control.png");
    RgbImage::from_fn(150, 101, |x, y| Rgb([(x * y % 256) as u8, (x * 7 % 256) as u8, 90])).save(&control).unwrap();
    let saved = folder.file("saved.safetensors");
    let latents = |init: &str, mask: &str, control: &str, more: &[&str]| {
        let masked = ["--init-image", init, "--mask", mask, "--control-net", &net, "--control-image", control];
        let prepared = ["--control-weight", "3", "--control-preprocessor", "tile:2", "--save-latents", &saved];
        folder.generate("x.png", &[&masked[..], &SIZE, &prepared, more].concat());
        weights::open_path(Path::new(&saved)).unwrap().read("final_latents").unwrap()
    };
    let drawn = latents(&init, &mask, &control, &["--only-masked", "--only-masked-padding", "6"]);
    let cut = |file: &str, name: &str| {
        let path = folder.file(name);
        image::open(file).unwrap().crop_imm(94, 44, 32, 32).into_rgb8().save(&path).unwrap();
        path
    };
    let (part, its_mask, its_control) = (cut(&init, "a.png"), cut(&mask, "b.png"), cut(&control, "c.png"));
    assert_eq!(drawn, latents(&part, &its_mask, &its_control, &[]));
    assert_ne!(drawn, latents(&part, &its_mask, &control, &[]), "the whole picture steers otherwise");
}

#[test]
fn canvas_is_added_at_any_side() {
    let folder = Folder::new("tiny-sd15");
    let init = folder.picture("init.png", 64, 32);
    let old = image::open(&init).unwrap().into_rgb8();
    for (sides, size, at) in [
        (vec!["--outpaint-left", "32"], (96, 32), (32, 0)),
        (vec!["--outpaint-right", "32"], (96, 32), (0, 0)),
        (vec!["--outpaint-top", "64", "--outpaint-bottom", "32"], (64, 128), (0, 64)),
    ] {
        let (_, new) = folder.generate("x.png", &[&["--init-image", &init], &sides[..]].concat());
        assert_eq!(new.dimensions(), size, "{sides:?}");
        for (x, y, pixel) in old.enumerate_pixels() {
            assert_eq!(new.get_pixel(x + at.0, y + at.1), pixel, "{sides:?}: {x} {y}");
        }
    }
    let error = folder.refused(&["--init-image", &init, "--outpaint-left", "8"]);
    assert!(error.contains("both sides must be multiples of 32"), "{error}");
    assert!(folder.refused(&["--outpaint-left", "32"]).contains("--init-image"));
    let error = folder.refused(&["--init-image", &init, "--outpaint-top", "2047"]);
    assert!(error.contains("the larger canvas would be 64 x 2079"), "{error}");
    let error = folder.refused(&["--init-image", &init, "--hires-scale", "2"]);
    assert!(error.contains("cannot be used with"), "{error}");
}

#[test]
fn a_second_pass_draws_larger_pictures() {
    let folder = Folder::new("tiny-sd15");
    let network = recorded("models/tiny-upscalers/realesr-general-x4v3.safetensors");
    let scaled = ["--hires-scale", "1.5", "--hires-steps", "3"];
    let mut seen = Vec::new();
    for upscaler in ["latent", "latent-nearest", "latent-bicubic-antialiased", "lanczos", &network] {
        let more = [&SIZE[..], &scaled, &["--hires-upscaler", upscaler]].concat();
        let (said, new) = folder.generate("x.png", &more);
        assert!(new.dimensions() == (96, 96) && said.contains("96x96"), "{said}");
        assert!(!seen.contains(&new), "{upscaler}");
        seen.push(new);
    }
    let told = run(&["inspect", &folder.file("x.png")]);
    let pairs = "Denoising strength: 0.7, Hires upscale: 1.5, Hires upscaler: realesr-general-x4v3, Hires steps: 3";
    assert!(told.contains(pairs), "{told}");
    let error = folder.refused(&["--hires-scale", "9"]);
    assert!(error.contains("the scale is 9, but must be between 1 and 8"), "{error}");
    let error = folder.refused(&[&SIZE[..], &["--hires-scale", "2", "--hires-upscaler", "latency"]].concat());
    assert!(error.contains("could not open the upscaler latency"), "{error}");
}

#[test]
fn tiles_of_an_autoencoder_are_asked_for() {
    let folder = Folder::new("tiny-sd15");
    let wide = ["--width", "576", "--height", "64", "--steps", "1"];
    let with = |mode: &str| {
        let (model, out) = (folder.file("model"), folder.file("x.png"));
        let usual = ["generate", "--model", &model, "--out", &out, "--prompt", "soup", "--seed", "3"];
        run(&[&usual[..], &wide, &["--vae-tiling", mode]].concat());
        image::open(out).unwrap().into_rgb8()
    };
    let (auto, on, off) = (with("auto"), with("on"), with("off"));
    assert_eq!(auto, off);
    assert_ne!(on, off);
}

#[test]
fn pictures_are_enlarged_and_keep_their_parameters() {
    let folder = Folder::new("tiny-sd15");
    folder.generate("small.png", &SIZE);
    let (small, large) = (folder.file("small.png"), folder.file("large.png"));
    for (network, scale) in [("realesr-general-x4v3", 4), ("RealESRGAN_x4plus", 4), ("RealESRGAN_x2plus", 2)] {
        let model = recorded(&format!("models/tiny-upscalers/{network}.safetensors"));
        let tiles = ["--tile", "40", "--overlap", "16"];
        let said = run(&[&["upscale", "--model", &model, "--in", &small, "--out", &large], &tiles[..]].concat());
        let side = 64 * scale;
        assert!(said.contains(&format!("({side} x {side})")), "{said}");
        assert_eq!(image::open(&large).unwrap().into_rgb8().dimensions(), (side, side));
        let parameters = run(&["inspect", &large]);
        assert!(parameters.contains("a bowl of soup") && parameters.contains("Seed: 3"), "{parameters}");
        assert!(parameters.contains(&format!("Postprocess upscaler: {network}")), "{parameters}");
    }
    let other = recorded("models/tiny-line-art/model.safetensors");
    let error = refused(&["upscale", "--model", &other, "--in", &small, "--out", &large]);
    assert!(error.contains("the file is no upscaler that is known"), "{error}");
}
