"""The losses there are.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""

LOSSES = ("euclidean", "cosine",)
MODULES = (
    "euclidean_stop_target",
    "euclidean_stop_none",
    "euclidean_stop_online",
    "euclidean_stop_target_no_predictor",
    "euclidean_stop_none_no_predictor",
    "euclidean_stop_online_no_predictor",
    "euclidean_isotropic",
    "euclidean_stop_target_symmetrised",
    "euclidean_stop_none_symmetrised",
    "euclidean_stop_online_symmetrised",
    "euclidean_stop_target_no_predictor_symmetrised",
    "euclidean_stop_none_no_predictor_symmetrised",
    "euclidean_stop_online_no_predictor_symmetrised",
    "euclidean_isotropic_symmetrised",
    "cosine_stop_target",
    "cosine_stop_none",
    "cosine_stop_online",
    "cosine_stop_target_no_predictor",
    "cosine_stop_none_no_predictor",
    "cosine_stop_online_no_predictor",
    "cosine_isotropic",
    "cosine_stop_target_symmetrised",
    "cosine_stop_none_symmetrised",
    "cosine_stop_online_symmetrised",
    "cosine_stop_target_no_predictor_symmetrised",
    "cosine_stop_none_no_predictor_symmetrised",
    "cosine_stop_online_no_predictor_symmetrised",
    "cosine_isotropic_symmetrised",
)
