"""Categories: ImageNet's classes with WordNet's names above them, and the words that name them."""

from lookalike.categories.labels import CONFIDENT, best_label, categories_of, class_shares
from lookalike.categories.lexicon import Phrase, Understanding, understand
from lookalike.categories.tree import Category, CategoryTree, category_tree, class_directions

__all__ = [
    "CONFIDENT",
    "Category",
    "CategoryTree",
    "Phrase",
    "Understanding",
    "best_label",
    "categories_of",
    "category_tree",
    "class_directions",
    "class_shares",
    "understand",
]
