"""The cases of the web UI's prompt language; `make.py` calls both functions.

What a prompt says at each step is written down here by hand, as the web UI documents it, and not parsed; how it conditions a
picture is computed. `compute` needs torch and diffusers, `store` does not.
"""

# ----------------------------------------------------------------------------------------------------------- encoding
WEIGHTS = {  # case: the prompt, and its runs of text with their weights
    "plain": ("a red house", [("a red house", 1.0)]),
    "number": ("a (red:1.3) house", [("a", 1.0), ("red", 1.3), ("house", 1.0)]),
    "nested": ("a ((red)) house, [small] garden",
               [("a", 1.0), ("red", 1.1 * 1.1), ("house,", 1.0), ("small", 1 / 1.1), ("garden", 1.0)]),
    "escaped": (r"a \(red\) house", [("a (red) house", 1.0)]),
    "long": (" ".join(["tree"] * 60 + ["cloud"] * 60), [(" ".join(["tree"] * 60 + ["cloud"] * 60), 1.0)]),
    "long-weighted": ("(" + " ".join(["tree"] * 80) + ":0.8) end", [(" ".join(["tree"] * 80), 0.8), ("end", 1.0)]),
}

# --------------------------------------------------------------------------------------------------------------- runs
# case: request; for each picture and step the negative prompt and the prompts with how much they count. A prompt is a list of
# chunks, a chunk a list of runs.
one = lambda text, weight=1.0: [[(text, weight)]]
EMPTY = [("", 1.0)]
TREES = " ".join(["tree"] * 70)
RUNS = {
    "sd15-prompt-edit": (
        {"prompts": ["a [red:small:2] house in [a garden|the (cloud:1.4)]", "[a tree:0.5] a bowl of soup"],
         "negative_prompts": ["[low:high:1] quality", ""], "steps": 4, "guidance": 6.0},
        [([one("low quality"), one("high quality"), one("high quality"), one("high quality")],
          [[(one("a red house in a garden"), 1.0)], [([[("a red house in the", 1.0), ("cloud", 1.4)]], 1.0)],
           [(one("a small house in a garden"), 1.0)], [([[("a small house in the", 1.0), ("cloud", 1.4)]], 1.0)]]),
         ([one("")] * 4,
          [[(one("a bowl of soup"), 1.0)]] * 2 + [[(one("a tree a bowl of soup"), 1.0)]] * 2)]),
    "sd15-prompt-and": (
        {"prompts": ["a red house AND a small garden :0.6 AND a cloud :-0.3", "a bowl of soup"],
         "negative_prompts": ["blurry, low quality", ""], "steps": 3, "guidance": 5.0, "guidance_rescale": 0.5},
        [([one("blurry, low quality")] * 3,
          [[(one("a red house"), 1.0), (one("a small garden"), 0.6), (one("a cloud"), -0.3)]] * 3),
         ([one("")] * 3, [[(one("a bowl of soup"), 1.0)]] * 3)]),
    "sd15-prompt-and-unguided": (
        {"prompts": ["a red house :0.7 AND a cloud :0.3"], "negative_prompts": ["blurry"], "steps": 2, "guidance": 1.0},
        [([one("blurry")] * 2, [[(one("a red house"), 0.7), (one("a cloud"), 0.3)]] * 2)]),
    # The first chunk is full after 75 tokens, and the words behind its comma go into the second.
    "sd15-prompt-long": (
        {"prompts": [f"{TREES}, a red house in a small garden", "a bowl BREAK of (soup:0.7)"],
         "negative_prompts": ["blurry, low quality", ""], "steps": 3, "guidance": 6.0},
        [([[[("blurry, low quality", 1.0)], EMPTY]] * 3,
          [[([[(f"{TREES},", 1.0)], [("a red house in a small garden", 1.0)]], 1.0)]] * 3),
         ([[EMPTY, EMPTY]] * 3, [[([[("a bowl", 1.0)], [("of", 1.0), ("soup", 0.7)]], 1.0)]] * 3)]),
}


def texts():
    """All that some case says, for the rows of the token embedding."""
    yield from (text for _, runs in WEIGHTS.values() for text, _ in runs)
    for _, pictures in RUNS.values():
        for negative, positive in pictures:
            chunks = [chunk for prompt in negative for chunk in prompt]
            chunks += [chunk for step in positive for prompt, _ in step for chunk in prompt]
            yield from (text for chunk in chunks for text, _ in chunk)


def compute(p, tools):
    """`p` is the text-to-picture pipeline of `tiny-sd15`; `tools` are functions of `make.py`."""
    import torch
    ids_of = lambda text: p.tokenizer(text, add_special_tokens=False).input_ids

    def encode_chunk(ids, weights):
        """States times weights, and all of them so that the chunk's mean is what it was."""
        pad = 75 - len(ids)
        z = p.text_encoder(torch.tensor([[49406] + ids + [49407] * (1 + pad)])).last_hidden_state
        mean, z = z.mean(), z * torch.tensor([1.0] + weights + [1.0] * (pad + 1))[None, :, None]
        return z * (mean / z.mean())

    def tokens(runs):
        ids, weights = [], []
        for text, weight in runs:
            i = ids_of(text)
            ids += i; weights += [weight] * len(i)
        return ids, weights

    out = {}
    for name, (_, runs) in WEIGHTS.items():
        ids, weights = tokens(runs)
        z = [encode_chunk(ids[c:c + 75], weights[c:c + 75]) for c in range(0, max(len(ids), 1), 75)]
        out |= {f"{name}.embeddings": torch.cat(z, 1), f"{name}.ids": torch.tensor(ids),
                f"{name}.weights": torch.tensor(weights)}
    tools.save("sd15-prompt-weights", **out)

    def encode(prompt):
        return torch.cat([encode_chunk(*tokens(chunk)) for chunk in prompt], 1)

    torch.manual_seed(75)
    z = torch.randn(1, 4, 8, 8)
    for name, (request, pictures) in RUNS.items():
        s, steps, scale = p.scheduler, request["steps"], request["guidance"]
        s.set_timesteps(steps)
        latents = torch.cat([z, z.flip(3)])[:len(pictures)]
        x = latents * s.init_noise_sigma
        for index, t in enumerate(s.timesteps):
            outputs = []
            for row, (negative, positive) in enumerate(pictures):
                predict = lambda prompt: p.unet(s.scale_model_input(x[row:row + 1], t), t, encode(prompt)).sample
                u = predict(negative[index])
                apart = sum(weight * (predict(prompt) - u) for prompt, weight in positive[index])
                guided, share = u + scale * apart, request.get("guidance_rescale", 0.0)
                rescaled = guided * ((u + apart).std() / guided.std())
                outputs.append(share * rescaled + (1 - share) * guided)
            x = s.step(torch.cat(outputs), t, x).prev_sample
        image = p.vae.decode(x / p.vae.config.scaling_factor).sample
        tools.save(name, latents=latents, final_latents=x, image=(image / 2 + 0.5).clamp(0, 1))


def store(case):
    case("prompts", "sd15-prompt-weights", "sd15-prompt-weights", 1e-4, model="tiny-sd15",
         prompts={name: text for name, (text, _) in WEIGHTS.items()})
    for name, (request, _) in RUNS.items():
        case("text2img", name, name, 1e-3, model="tiny-sd15", request=request)
