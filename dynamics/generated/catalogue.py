"""The catalogue of losses.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""

LOSSES = ("euclidean", "cosine",)

# (loss, stop_gradient, isotropic, has a predictor, symmetrised): module in this package
MODULES = {
    ("euclidean", "target", False, True, False): "euclidean_stop_target",
    ("euclidean", "none", False, True, False): "euclidean_stop_none",
    ("euclidean", "online", False, True, False): "euclidean_stop_online",
    ("euclidean", "target", False, False, False): "euclidean_stop_target_no_predictor",
    ("euclidean", "none", False, False, False): "euclidean_stop_none_no_predictor",
    ("euclidean", "online", False, False, False): "euclidean_stop_online_no_predictor",
    ("euclidean", "target", True, True, False): "euclidean_isotropic",
    ("euclidean", "target", False, True, True): "euclidean_stop_target_symmetrised",
    ("euclidean", "none", False, True, True): "euclidean_stop_none_symmetrised",
    ("euclidean", "online", False, True, True): "euclidean_stop_online_symmetrised",
    ("euclidean", "target", False, False, True): "euclidean_stop_target_no_predictor_symmetrised",
    ("euclidean", "none", False, False, True): "euclidean_stop_none_no_predictor_symmetrised",
    ("euclidean", "online", False, False, True): "euclidean_stop_online_no_predictor_symmetrised",
    ("euclidean", "target", True, True, True): "euclidean_isotropic_symmetrised",
    ("cosine", "target", False, True, False): "cosine_stop_target",
    ("cosine", "none", False, True, False): "cosine_stop_none",
    ("cosine", "online", False, True, False): "cosine_stop_online",
    ("cosine", "target", False, False, False): "cosine_stop_target_no_predictor",
    ("cosine", "none", False, False, False): "cosine_stop_none_no_predictor",
    ("cosine", "online", False, False, False): "cosine_stop_online_no_predictor",
    ("cosine", "target", True, True, False): "cosine_isotropic",
    ("cosine", "target", False, True, True): "cosine_stop_target_symmetrised",
    ("cosine", "none", False, True, True): "cosine_stop_none_symmetrised",
    ("cosine", "online", False, True, True): "cosine_stop_online_symmetrised",
    ("cosine", "target", False, False, True): "cosine_stop_target_no_predictor_symmetrised",
    ("cosine", "none", False, False, True): "cosine_stop_none_no_predictor_symmetrised",
    ("cosine", "online", False, False, True): "cosine_stop_online_no_predictor_symmetrised",
    ("cosine", "target", True, True, True): "cosine_isotropic_symmetrised",
}
