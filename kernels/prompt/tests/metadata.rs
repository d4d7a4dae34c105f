//! What pictures say of how they were drawn, and what damaged ones say.

use flate2::{Compression, write::ZlibEncoder};
use prompt::{
    ExtraNetwork,
    infotext::infotext,
    metadata::{Metadata, MetadataError, Origin, parse_infotext},
};
use proptest::prelude::*;
use spec::{GenerateSpec, NoiseKind, SchedulerKind, Seed};
use std::io::{Cursor, Write as _};

/// A PNG of these chunks alone; nobody looks at the pixels.
fn png(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut push = |kind: &[u8; 4], data: &[u8]| {
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(kind);
        file.extend(data);
        file.extend([0; 4]);
    };
    push(b"IDAT", &[7; 50]);
    for (kind, data) in chunks {
        push(kind, data);
    }
    push(b"IEND", &[]);
    file
}

fn text(key: &str, text: &str) -> Vec<u8> {
    [key.as_bytes(), b"\0", text.as_bytes()].concat()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn read(file: Vec<u8>) -> Result<Option<Metadata>, MetadataError> {
    Metadata::read(&mut Cursor::new(file))
}

fn of_text(key: &str, value: &str) -> Metadata {
    read(png(&[(b"tEXt", text(key, value))])).expect("a whole picture").expect("parameters")
}

const WEB_UI: &str = "a (red:1.2) apple,\n<lora:fruit:0.8>\nNegative prompt: blurry\nlow quality\nSteps: 20, Sampler: DPM++ 2M, \
                      Schedule type: Karras, CFG scale: 7.5, Seed: 1234567890123, Size: 512x768, Model hash: 6ce0161689, \
                      Model: v1-5-pruned, Denoising strength: 0.7, Clip skip: 2, Lora hashes: \"fruit: 123abc, b: c\", \
                      Hires upscale: 2, Version: v1.9.4";

#[test]
fn a_web_uis_text_is_read() {
    let found = of_text("parameters", WEB_UI);
    assert_eq!(found.prompt, "a (red:1.2) apple,\n<lora:fruit:0.8>");
    assert_eq!(found.negative_prompt, "blurry\nlow quality");
    assert_eq!((found.steps, found.guidance, found.seed), (Some(20), Some(7.5), Some(1_234_567_890_123)));
    assert_eq!((found.size, found.clip_skip, found.strength), (Some((512, 768)), Some(2), Some(0.7)));
    assert_eq!(found.model.as_deref(), Some("v1-5-pruned"));
    assert_eq!(found.scheduler().unwrap().to_string(), "dpmpp-2m-karras");
    let others: Vec<_> = found.others.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let lora = ("Lora hashes", "fruit: 123abc, b: c");
    assert_eq!(others, [("Model hash", "6ce0161689"), lora, ("Hires upscale", "2"), ("Version", "v1.9.4")]);
    assert_eq!(found.json()["others"]["Hires upscale"], "2");
}

#[test]
fn texts_of_other_writers_are_read_too() {
    let only = parse_infotext("just a prompt\nwith two lines");
    assert_eq!((only.prompt.as_str(), only.steps), ("just a prompt\nwith two lines", None));
    let behind = parse_infotext("x\nSteps: 5, Sampler: Euler a, Seed: 1\nTemplate: {a|b}");
    assert_eq!((behind.prompt.as_str(), behind.steps), ("x", Some(5)));
    assert!(behind.others.contains(&("Template".to_owned(), "{a|b}".to_owned())));
    let colons = parse_infotext("a: b, c: d\nSteps: 5, Sampler: Euler, CFG scale: x, Seed: -1");
    assert_eq!((colons.prompt.as_str(), colons.guidance, colons.seed), ("a: b, c: d", None, None));
    assert_eq!(colons.others.len(), 2);
    let automatic = parse_infotext("x\nSteps: 5, Sampler: DPM++ 2M, Schedule type: Automatic, Seed: 1");
    assert_eq!(automatic.scheduler().unwrap().to_string(), "dpmpp-2m-karras");
    let old = parse_infotext("x\nSteps: 5, Sampler: DPM++ 2M Karras, Seed: 1, Size: 8x8, RNG: CPU");
    assert_eq!(old.scheduler().unwrap().to_string(), "dpmpp-2m-karras");
    assert_eq!(old.noise, Some(NoiseKind::TorchCpu));
    for sampler in ["Nobody's", ""] {
        assert_eq!(parse_infotext(&format!("x\nSteps: 5, Sampler: {sampler}, Seed: 1")).scheduler(), None);
    }
    assert_eq!(parse_infotext("").prompt, "");
}

fn spec_of(prompt: &str, negative: &str) -> GenerateSpec {
    serde_json::from_value(serde_json::json!({ "prompt": prompt, "negative_prompt": negative, "size": [64, 128] }))
        .expect("a whole spec")
}

#[test]
fn every_scheduler_reads_back() {
    for kind in SchedulerKind::ALL {
        assert_eq!(parse_infotext(&infotext(&spec_of("x", ""), *kind, "m")).scheduler(), Some(*kind), "{kind}");
    }
}

#[test]
fn texts_lie_in_chunks_of_three_kinds() {
    let unicode = "Äpfel 🍎\nSteps: 5, Sampler: Euler, Seed: 1";
    let plain = [b"parameters\0\0\0\0\0", unicode.as_bytes()].concat();
    let squeezed = [b"parameters\0\x01\0de\0\0".as_slice(), &packed(unicode.as_bytes())].concat();
    let old = [b"parameters\0\0".as_slice(), &packed(unicode.as_bytes())].concat();
    for (kind, data) in [(b"iTXt", plain), (b"iTXt", squeezed), (b"zTXt", old)] {
        assert_eq!(read(png(&[(kind, data)])).unwrap().unwrap().prompt, "Äpfel 🍎");
    }
    let latin = b"parameters\0caf\xe9".to_vec();
    assert_eq!(read(png(&[(b"tEXt", latin)])).unwrap().unwrap().prompt, "café");
    assert!(read(png(&[(b"tEXt", text("Author", "x"))])).unwrap().is_none());
}

#[test]
fn what_invoke_ai_writes_is_read() {
    let json = r#"{"generation_mode":"txt2img","positive_prompt":"a cat","negative_prompt":"dog","width":512,"height":640,
        "seed":42,"rand_device":"cpu","cfg_scale":6.5,"steps":30,"scheduler":"dpmpp_2m_k","clip_skip":1,
        "model":{"key":"k","name":"dreamshaper-8","base":"sd-1"},
        "loras":[{"model":{"name":"fur"},"weight":0.6}],"app_version":"4.2.0"}"#;
    let found = of_text("invokeai_metadata", json);
    assert_eq!((found.origin, &*found.prompt, &*found.negative_prompt), (Origin::InvokeAi, "a cat", "dog"));
    assert_eq!((found.size, found.seed, found.steps), (Some((512, 640)), Some(42), Some(30)));
    assert_eq!((found.clip_skip, found.noise), (Some(2), Some(NoiseKind::TorchCpu)));
    assert_eq!(found.scheduler().unwrap().to_string(), "dpmpp-2m-karras");
    assert_eq!(found.networks, [ExtraNetwork { name: "fur".to_owned(), unet_weight: 0.6, text_weight: 0.6 }]);
    assert_eq!(found.prompt_with_networks(), "a cat <lora:fur:0.6:0.6>");
    assert!(found.text().contains("Model: dreamshaper-8") && found.text().contains("Made with: InvokeAI"));

    let old = r#"{"model_weights":"sd-1.5","image":{"prompt":[{"prompt":"a cat [dog] on a mat","weight":1}],"steps":50,
        "cfg_scale":7.5,"width":512,"height":512,"seed":7,"sampler":"k_euler_a"}}"#;
    let found = of_text("sd-metadata", old);
    assert_eq!((&*found.prompt, &*found.negative_prompt), ("a cat  on a mat", "dog"));
    assert_eq!(found.scheduler().unwrap().to_string(), "euler-a");
    let found = of_text("Dream", "\"a cat\" -s 50 -S 123 -W 512 -H 448 -C 7.5 -A k_euler -U4");
    assert_eq!((&*found.prompt, found.seed, found.size), ("a cat", Some(123), Some((512, 448))));
    assert_eq!(found.scheduler().unwrap().to_string(), "euler");
}

const COMFY: &str = r#"{
 "3": {"class_type": "KSampler", "inputs": {"seed": 156680208700286, "steps": 20, "cfg": 8, "sampler_name": "euler_ancestral",
       "scheduler": "normal", "denoise": 1, "model": ["10", 0], "positive": ["6", 0], "negative": ["7", 0],
       "latent_image": ["5", 0]}},
 "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "SD1.5/v1-5-pruned-emaonly.ckpt"}},
 "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
 "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["12", 0], "clip": ["11", 0]}},
 "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["11", 0]}},
 "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
 "10": {"class_type": "LoraLoader", "inputs": {"lora_name": "glass.safetensors", "strength_model": 0.8,
        "strength_clip": 0.5, "model": ["4", 0], "clip": ["4", 1]}},
 "11": {"class_type": "CLIPSetLastLayer", "inputs": {"stop_at_clip_layer": -2, "clip": ["10", 1]}},
 "12": {"class_type": "PrimitiveString", "inputs": {"value": "a glass bottle"}},
 "20": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 10, "cfg": 5, "sampler_name": "euler",
        "scheduler": "normal", "denoise": 0.5, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0],
        "latent_image": ["21", 0]}},
 "21": {"class_type": "LoopToItself", "inputs": {"samples": ["21", 0]}}
}"#;

#[test]
fn a_graph_of_comfy_ui_is_read() {
    let found = of_text("prompt", COMFY);
    assert_eq!((&*found.prompt, &*found.negative_prompt), ("a glass bottle", "text, watermark"));
    assert_eq!((found.seed, found.steps, found.guidance), (Some(156_680_208_700_286), Some(20), Some(8.0)));
    assert_eq!((found.size, found.clip_skip, found.strength), (Some((512, 768)), Some(2), None));
    assert_eq!(found.model.as_deref(), Some("v1-5-pruned-emaonly"));
    assert_eq!(found.networks, [ExtraNetwork { name: "glass".to_owned(), unet_weight: 0.8, text_weight: 0.5 }]);
    assert_eq!(found.scheduler().unwrap().to_string(), "euler-a-uniform");
    let error = read(png(&[(b"tEXt", text("prompt", "{}"))])).unwrap_err();
    assert!(error.to_string().contains("no sampler"), "{error}");
}

/// EXIF with one user comment.
fn exif(comment: &[u8]) -> Vec<u8> {
    let mut block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x1a\0\0\0\0".to_vec();
    block.extend(b"\0\x01\x92\x86\0\x07");
    block.extend((comment.len() as u32).to_be_bytes());
    block.extend(b"\0\0\0\x2c\0\0\0\0");
    block.extend(comment);
    block
}

#[test]
fn a_jpeg_and_a_webp_say_it_in_a_comment() {
    let said = "ein Äpfel\nSteps: 5, Sampler: Euler, Seed: 1";
    let big: Vec<u8> = said.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let small: Vec<u8> = said.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let parts = [[b"UNICODE\0", &big[..]], [b"UNICODE\0", &small[..]], [b"ASCII\0\0\0", said.as_bytes()]];
    for comment in parts.map(|parts| parts.concat()) {
        let block = exif(&comment);
        let mut jpeg = b"\xff\xd8\xff\xe0\0\x04\0\0\xff\xe1".to_vec();
        jpeg.extend((block.len() as u16 + 2).to_be_bytes());
        jpeg.extend(&block);
        jpeg.extend(b"\xff\xda\0\0");
        assert_eq!(read(jpeg).unwrap().unwrap().prompt, "ein Äpfel");

        let mut webp = b"RIFF\0\0\0\0WEBPVP8 \x02\0\0\0abEXIF".to_vec();
        webp.extend((block.len() as u32).to_le_bytes());
        webp.extend(&block);
        webp.extend(vec![0; block.len() % 2]);
        assert_eq!(read(webp).unwrap().unwrap().steps, Some(5));
        assert_eq!(read(png(&[(b"eXIf", block)])).unwrap().unwrap().seed, Some(1));
    }
}

#[test]
fn hostile_metadata_is_refused_with_a_sentence() {
    let said = |file: Vec<u8>| read(file).unwrap_err().to_string();
    let bomb = [b"parameters\0\0".as_slice(), &packed(&vec![b'a'; 100 << 20])].concat();
    assert!(bomb.len() < 200_000);
    assert!(said(png(&[(b"zTXt", bomb)])).contains("more than 4194304 bytes"));
    let many = vec![(b"tEXt", text("x", &"a".repeat(2 << 20))); 17];
    assert!(said(png(&many)).contains("more than"));
    assert!(said(png(&[(b"zTXt", b"parameters\0\0nonsense".to_vec())])).contains("cannot be unpacked"));
    let whole = png(&[(b"tEXt", text("parameters", "x"))]);
    for length in 0..whole.len() - 12 {
        assert!(read(whole[..length].to_vec()).is_err(), "cut after {length}");
    }
    let mut huge = whole[..8].to_vec();
    huge.extend(b"\xff\xff\xff\xfftEXtparameters\0x");
    assert!(said(huge).contains("more than"));
    for name in ["invokeai_metadata", "sd-metadata", "prompt"] {
        assert!(said(png(&[(b"tEXt", text(name, &"[".repeat(100_000)))])).contains("not the JSON"));
        assert!(said(png(&[(b"tEXt", text(name, &" ".repeat(3 << 20)))])).contains("more than 2097152 bytes"));
    }
    let long = text("parameters", &"a\n".repeat(1 << 20));
    assert!(said(png(&[(b"tEXt", long)])).contains("more than 1048576 bytes"));
    assert!(said(b"GIF89a something".to_vec()).contains("neither a PNG"));
    assert!(said(b"\xff\xd8nonsense but long".to_vec()).contains("neither"));
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

proptest! {
    #[test]
    fn every_text_reads_back(prompt in "[ -~é\\n]{0,60}", negative in "[ -~é\\n]{0,40}", model in "[ -~]{1,20}", seed: u64) {
        let spec = GenerateSpec { seed: Seed(seed), ..spec_of(&prompt, &negative) };
        let found = parse_infotext(&infotext(&spec, SchedulerKind::ALL[0], &model));
        prop_assert_eq!(words(&found.prompt), words(&prompt));
        prop_assert_eq!(words(&found.negative_prompt), words(&negative));
        prop_assert_eq!((found.seed, found.size, found.model), (Some(seed), Some((64, 128)), Some(model)));
    }

    #[test]
    fn a_line_that_looks_like_another_part_stays_in_the_prompt(
        lines in proptest::collection::vec(prop_oneof![
            Just("Negative prompt: x"), Just("Steps: 20, Sampler: Euler, Seed: 5"), Just("a: b, c: d, e: f"), Just("\"x"), Just(""),
        ], 0..5),
    ) {
        let prompt = lines.join("\n");
        let found = parse_infotext(&infotext(&spec_of(&prompt, "y"), SchedulerKind::ALL[0], "m"));
        prop_assert_eq!(found.seed, Some(0));
        // Only a prompt that begins like a negative one is taken for one.
        if !prompt.trim().starts_with("Negative") {
            prop_assert_eq!(words(&found.prompt), words(&prompt));
        }
    }

    #[test]
    fn any_file_is_read_or_refused(bytes: Vec<u8>, kind in 0_usize..4) {
        let start: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1", b"RIFF\0\0\0\0WEBPEXIF", b""];
        read([start[kind], &bytes].concat()).ok();
    }

    #[test]
    fn any_exif_is_read_or_ignored(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..60, byte: u8) {
        let mut block = exif(&bytes);
        let at = at.min(block.len() - 1);
        block[at] = byte;
        read(png(&[(b"eXIf", block)])).ok();
    }

    #[test]
    fn any_text_of_parameters_is_read(text in "([a-zA-Z ]{0,4}|[:,\"\\\\\n]|Steps: |Negative prompt:|Size: 1x){0,40}") {
        parse_infotext(&text);
        for name in ["invokeai_metadata", "prompt", "Dream"] {
            read(png(&[(b"tEXt", [name.as_bytes(), b"\0", text.as_bytes()].concat())])).ok();
        }
    }
}
