"""ModelsLab's own Python client, version 0.2.3, unmodified but for the address."""

import unittest

from common import API, KEY, base64_png, mask, picture
from modelslab_py.core.apis.community import Community
from modelslab_py.core.client import Client
from modelslab_py.schemas.community import Image2Image, Inpainting, Text2Image

SMALL = {"model_id": "demo", "width": 64, "height": 64, "samples": 1, "num_inference_steps": 4}


def community(key=KEY):
    client = Client(api_key=key)
    client.base_url = API
    client.fetch_timeout = 1
    client.fetch_retry = 60
    return Community(client=client)


class ModelslabPy(unittest.TestCase):
    def over(self, api, answer):
        """The answer with pictures, fetched if it was not there at once."""
        self.assertIn(answer["status"], ("success", "processing"), answer)
        self.assertIsInstance(answer["id"], int)
        if answer["status"] == "processing":
            self.assertEqual(answer["output"], [])
            self.assertGreaterEqual(answer["eta"], 0)
            self.assertTrue(answer["fetch_result"].startswith(API), answer["fetch_result"])
            answer = api.fetch(str(answer["id"]))
        self.assertEqual(answer["status"], "success", answer)
        return answer

    def test_text_becomes_a_picture(self):
        api = community()
        answer = api.text_to_image(Text2Image(prompt="a dog on a blue background", seed=11, **SMALL))
        if answer["status"] == "success":
            self.assertEqual(answer["meta"]["seed"], 11)
        answer = self.over(api, answer)
        self.assertEqual(len(answer["output"]), 1)
        size, _ = picture(answer["output"][0])
        self.assertEqual(size, (64, 64))

    def test_a_finished_job_can_be_fetched_again(self):
        api = community()
        made = self.over(api, api.text_to_image(Text2Image(prompt="a cat on a red background", seed=12, **SMALL)))
        again = api.fetch(str(made["id"]))
        self.assertEqual(again["status"], "success")
        self.assertEqual(picture(again["output"][0]), picture(made["output"][0]))

    def test_the_same_seed_gives_the_same_picture(self):
        api = community()
        hashes = set()
        # The same request twice within half a minute is refused, so they differ in what does not matter.
        for track_id in ("one", "two"):
            request = Text2Image(prompt="a fish on a green background", seed=13, track_id=track_id, **SMALL)
            answer = self.over(api, api.text_to_image(request))
            hashes.add(picture(answer["output"][0])[1])
        self.assertEqual(len(hashes), 1)

    def test_a_picture_becomes_another(self):
        api = community()
        request = Image2Image(prompt="a dog on a blue background", init_image=base64_png(), strength=0.6, seed=14, **SMALL)
        answer = self.over(api, api.image_to_image(request))
        self.assertEqual(picture(answer["output"][0])[0], (64, 64))

    def test_a_picture_is_fetched_from_a_link(self):
        api = community()
        first = self.over(api, api.text_to_image(Text2Image(prompt="a bird on a white background", seed=15, **SMALL)))
        request = Image2Image(prompt="a dog on a blue background", init_image=first["output"][0], seed=16, **SMALL)
        answer = self.over(api, api.image_to_image(request))
        self.assertNotEqual(picture(answer["output"][0]), picture(first["output"][0]))

    def test_a_part_is_painted_anew(self):
        api = community()
        request = Inpainting(
            prompt="a dog on a blue background", init_image=base64_png(), mask_image=mask(), seed=17, **SMALL
        )
        answer = self.over(api, api.inpainting(request))
        self.assertEqual(picture(answer["output"][0])[0], (64, 64))

    def test_a_wrong_key_is_told_in_the_known_words(self):
        answer = community("wrong").text_to_image(Text2Image(prompt="a dog", **SMALL))
        self.assertEqual(answer["status"], "error")
        self.assertEqual(answer["message"], "Invalid Api Key")
        self.assertIn("jsonlint", answer["tip"])

    def test_an_unknown_model_is_told_in_the_known_words(self):
        request = Text2Image(prompt="a dog", **{**SMALL, "model_id": "no-such-model"})
        answer = community().text_to_image(request)
        self.assertEqual(answer["status"], "error")
        self.assertEqual(answer["message"], "Model id not found")

    def test_the_same_request_again_is_refused_for_a_while(self):
        api = community()
        request = Text2Image(prompt="a house on a yellow background", seed=18, **SMALL)
        self.over(api, api.text_to_image(request))
        answer = api.text_to_image(request)
        self.assertEqual(answer["status"], "error")
        self.assertEqual(answer["message"], "Rate limit exceeded")
        self.assertIn("spam filter", answer["tips"])

    def test_a_job_of_nobody_is_not_found(self):
        api = community()
        api.client.fetch_retry = 1
        api.client.fetch_timeout = 0
        answer = api.fetch("999999999")
        self.assertNotIn(answer["status"], ("success", "processing"))


if __name__ == "__main__":
    unittest.main()
