"""Trains classifiers, and GANMEX for them, on a dataset: what the command line does."""

from tf_ganmex.training.augmentation import AUGMENTATIONS, Augmentation
from tf_ganmex.training.classifier import ClassifierRecipe, accuracy_facts, save_classifier, train_classifier
from tf_ganmex.training.ganmex import Recipe, in_value_range, train_ganmex

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "ClassifierRecipe",
    "Recipe",
    "accuracy_facts",
    "in_value_range",
    "save_classifier",
    "train_classifier",
    "train_ganmex",
]
