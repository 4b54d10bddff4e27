"""What this plugin announces. Nothing here imports torch."""

import genkit

TINY = {"model.generator.width": 4, "model.critic.width": 4, "train.batch_size": 8, "train.eval_samples": 64}


@genkit.hookimpl
def genkit_recipes():
    yield genkit.RecipeSpec(
        name="torchgan.digits",
        summary="Handwritten digits by torchgan's DCGAN.",
        config="genkit_torchgan.settings:Digits",
        build="genkit:assemble",
        smoke={**TINY, "preview": 4},
    )


@genkit.hookimpl
def genkit_models():
    for role in ("generator", "critic"):
        yield genkit.ModelSpec(
            name="torchgan.dcgan",
            role=role,
            modality="image",
            summary=f"The {role} of torchgan's DCGAN, square pictures of 16, 32, 64, ... pixels a side.",
            config=f"genkit_torchgan.settings:{role.capitalize()}Config",
            build=f"genkit_torchgan.models:DCGAN{role.capitalize()}",
        )
