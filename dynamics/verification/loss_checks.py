"""Check that a loss does not depend on the basis of the representations, and check its derived gradients and rates."""

import numpy as np

from dynamics.verification.subject import CHANCE, ROUNDING, Array, LevelCheck, Subject, relative_deviation

SAMPLES = 200_000  # number of samples in the means that are compared with the derived rates
EFFECTIVE_SAMPLES = 400  # smallest effective number of samples of a variance; the variance then has an error of 5 %


def check_basis(subject: Subject) -> LevelCheck:
    """Compare the loss in a random basis of the representations with the loss in the eigenbasis of the predictor."""
    z1, z2, lam = subject.independent_representations()
    U = np.linalg.qr(subject.rng.standard_normal((len(subject.s0),) * 2))[0]
    rotated = subject.loss(z1 @ U.T, z2 @ U.T, lam, U)
    return LevelCheck(
        "basis", "loss in a random basis", relative_deviation(rotated, subject.loss(z1, z2, lam)), ROUNDING
    )


def check_gradient(subject: Subject) -> LevelCheck:
    """Compare the derived gradient of the loss of each sample with automatic differentiation."""
    z1, z2, lam = subject.independent_representations()
    generated, arguments = subject.generated, (z1, z2, lam, 1.0, *subject.loss_parameters)
    derived = [generated.force_on_view1(*arguments), generated.force_on_view2(*arguments)]
    if subject.learned and generated.force_on_predictor:
        derived.append(generated.force_on_predictor(*arguments))
    automatic = np.stack(subject.gradient(z1, z2, lam))
    deviation = relative_deviation(np.stack(derived), automatic, float(subject.rate_scale.min()))
    return LevelCheck("gradient", "derived gradient, automatic differentiation", deviation, ROUNDING)


def check_rates(subject: Subject) -> LevelCheck:
    """Compare the derived rate of each mode with the mean of sampled rates; the deviation is in standard errors.

    For a sample, the rate of mode m is (g1_m z1_m + g2_m z2_m)/s_m, where g1 and g2 are the negative gradients of the
    loss with respect to the representations z1 and z2. The mean over samples must equal the derived rate.
    """
    z1, z2 = subject.representations(SAMPLES)
    force1, force2, *_ = subject.gradient(z1, z2, subject.lam)
    with np.errstate(over="ignore", invalid="ignore"):
        sampled = (force1 * z1 + force2 * z2) / subject.s0
        squares = (sampled - sampled.mean(axis=0)) ** 2
    if not np.isfinite(squares).all():
        subject.reject("a gradient whose square is finite in all samples")
    effective = _effective_samples(squares)
    if effective < EFFECTIVE_SAMPLES:
        subject.reject(
            f"a gradient whose variance can be estimated from {SAMPLES:,} samples (only {effective:.0f} samples "
            "contribute to the estimate)"
        )
    standard_error = np.sqrt(squares.mean(axis=0) / SAMPLES)
    rates = subject.field(subject.state).rates
    sampled_closure = subject.closure == "monte_carlo"
    accuracy = max(subject.field.error if sampled_closure else 0.0, ROUNDING)
    closure_error = np.maximum(np.abs(sampled).mean(axis=0) * accuracy, subject.rate_scale * ROUNDING)
    difference = np.abs(rates - sampled.mean(axis=0))
    with np.errstate(invalid="ignore"):
        z = np.where(difference == 0, 0.0, difference / np.hypot(standard_error, closure_error))
    closure = f"Monte Carlo closure ({subject.field.error:.0e})" if sampled_closure else "exact Gaussian closure"
    return LevelCheck("rates", f"{closure}, sampled gradient", float(z.max()), CHANCE, "standard errors")


def _effective_samples(squares: Array) -> float:
    """Return the effective number of samples that contribute to the mean of ``squares`` (samples, M) over samples.

    ``squares`` are squared deviations from a mean. For each mode, the effective number is the number of samples divided
    by the kurtosis of the deviations. The smallest effective number of all modes is returned.
    """
    tiny, largest = np.finfo(float).tiny, squares.max(axis=0)
    share = squares / np.maximum(largest, tiny)
    number = share.sum(axis=0) ** 2 / np.maximum((share**2).sum(axis=0), tiny)
    return float(number.min(where=largest > 0, initial=len(squares)))
