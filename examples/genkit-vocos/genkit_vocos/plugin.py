"""What this plugin announces. Nothing here imports torch."""

import genkit

NAMES = {"generator": ("Vocos", "Mel spectrograms to waveforms."), "critic": ("Periods", "Waveforms folded by primes.")}
SHORT = {"data.length": 4096, "data.held_out_length": 4096, "train.batch_size": 2, "train.adversarial_start": 0}


@genkit.hookimpl
def genkit_recipes():
    yield genkit.RecipeSpec(
        name="vocos.speech",
        summary="Waveforms from mel spectrograms, as `audio.vocoder`, by the networks of vocos.",
        config="genkit_vocos.settings:Speech",
        build="genkit_audio.recipes.vocoder:build",
        smoke={**SHORT, "model.generator.width": 16, "model.critic.periods": [2], "preview": 2},
    )


@genkit.hookimpl
def genkit_models():
    for role, (name, summary) in NAMES.items():
        where = {"config": f"genkit_vocos.settings:{name}Config", "build": f"genkit_vocos.models:{name}"}
        yield genkit.ModelSpec(name=f"vocos.{name.lower()}", role=role, modality="audio", summary=summary, **where)
