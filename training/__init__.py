"""The offline half: data, evaluation and models, through the worker's own transform."""
