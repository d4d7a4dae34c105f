"""The vendor's older Python client, modelslab 0.2, unmodified but for the address: answers are text, nulls are sent."""

import inspect
import json
import time
import unittest

from common import API, KEY, base64_png, mask, picture
from modelslab.community_models import CommunityModels
from modelslab.miscs import Miscs

SMALL = {
    "key": KEY,
    "model_id": "demo",
    "width": "64",
    "height": "64",
    "samples": "1",
    "num_inference_steps": "4",
    "steps": "4",
    "safety_checker": "no",
    "enhance_prompt": "no",
}


def call(method, **arguments):
    """Everything that is not given is null, as this client's users leave it."""
    names = inspect.signature(method).parameters
    given = {**SMALL, **arguments}
    return json.loads(method(**{name: given.get(name) for name in names}))


class Modelslab(unittest.TestCase):
    def setUp(self):
        self.models = CommunityModels()
        self.models.base_url = f"{API}v6/images"

    def over(self, answer):
        """The answer with pictures."""
        for _ in range(120):
            if answer["status"] != "processing":
                break
            time.sleep(0.5)
            answer = call(self.models.fetch_queued, request_id=answer.get("id", self.last))
        self.assertEqual(answer["status"], "success", answer)
        return answer

    def make(self, method, **arguments):
        answer = call(method, **arguments)
        self.assertIn(answer["status"], ("success", "processing"), answer)
        self.last = answer["id"]
        return self.over(answer)

    def test_text_becomes_a_picture(self):
        answer = self.make(self.models.txt2img, prompt="a dog on a blue background", seed="21")
        self.assertEqual(picture(answer["output"][0])[0], (64, 64))

    def test_a_picture_becomes_another(self):
        answer = self.make(
            self.models.img2img, prompt="a dog on a blue background", init_image=base64_png(), strength="0.6", seed="22"
        )
        self.assertEqual(picture(answer["output"][0])[0], (64, 64))

    def test_a_part_is_painted_anew(self):
        answer = self.make(
            self.models.inpaint,
            prompt="a dog on a blue background",
            init_image=base64_png(),
            mask_image=mask(),
            seed="23",
        )
        self.assertEqual(picture(answer["output"][0])[0], (64, 64))

    def test_what_is_missing_is_told_as_ever(self):
        answer = call(self.models.txt2img, prompt=None)
        self.assertEqual(answer["status"], "error")
        self.assertEqual(answer["message"], {"prompt": ["The prompt field is required."]})

    def test_the_list_of_models_is_a_bare_array(self):
        miscs = Miscs()
        miscs.base_url = f"{API}v3"
        models = call(miscs.dreambooth_model_list)
        self.assertIsInstance(models, list)
        self.assertIn("demo", [model["model_id"] for model in models])


if __name__ == "__main__":
    unittest.main()
