"""Check that a loss does not depend on the basis of the representations, and check its derived gradients and rates."""

import numpy as np

from dynamics.verification.subject import (
    BY_CHANCE,
    CHANCE,
    ROUNDING,
    SAMPLES,
    STANDARD_ERRORS,
    Array,
    LevelCheck,
    Subject,
    relative_deviation,
)

EFFECTIVE_SAMPLES = 400  # smallest effective number of samples of a variance; the variance then has an error of 5 %


def check_basis(subject: Subject) -> LevelCheck:
    """Compare the loss in a random basis of the representations with the loss in the eigenbasis of the predictor."""
    z1, z2, lam = subject.independent_representations()
    U = np.linalg.qr(subject.rng.standard_normal((len(subject.s0),) * 2))[0]
    rotated = subject.loss(z1 @ U.T, z2 @ U.T, lam, U)
    deviation = relative_deviation(rotated, subject.loss(z1, z2, lam))
    return LevelCheck("basis", "loss in a random basis", deviation, ROUNDING, bound="rounding")


def check_gradient(subject: Subject) -> LevelCheck:
    """Compare the derived gradient of the loss of each sample with automatic differentiation."""
    z1, z2, lam = subject.independent_representations()
    generated, arguments = subject.generated, (z1, z2, lam, 1.0, *subject.loss_parameters)
    derived = [generated.force_on_view1(*arguments), generated.force_on_view2(*arguments)]
    if subject.learned and generated.force_on_predictor:
        derived.append(generated.force_on_predictor(*arguments))
    automatic = np.stack(subject.gradient(z1, z2, lam))
    deviation = relative_deviation(np.stack(derived), automatic, float(subject.rate_scale.min()))
    against = "derived gradient against automatic differentiation"
    return LevelCheck("gradient", against, deviation, ROUNDING, bound="rounding")


def check_rates(subject: Subject) -> LevelCheck:
    """Compare the derived rate of each mode with the mean of sampled rates; the deviation is in standard errors.

    The mean of ``Subject.sampled_rates`` over samples must equal the derived rate. Its standard error, and the standard
    error of derived rates that are means over other samples, are combined.
    """
    sampled = subject.sampled_rates
    with np.errstate(over="ignore", invalid="ignore"):
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
    rounding = np.maximum(np.abs(sampled).mean(axis=0), subject.rate_scale) * ROUNDING
    closure_error = np.maximum(subject.closure_error(subject.field.error), rounding)
    difference = np.abs(rates - sampled.mean(axis=0))
    with np.errstate(invalid="ignore"):
        z = np.where(difference == 0, 0.0, difference / np.hypot(standard_error, closure_error))
    closure = "Monte Carlo" if subject.closure == "monte_carlo" else "exact Gaussian"
    against = f"{closure} closure against the sampled gradient"
    return LevelCheck("rates", against, float(z.max()), CHANCE, STANDARD_ERRORS, BY_CHANCE)


def _effective_samples(squares: Array) -> float:
    """Return the effective number of samples that contribute to the mean of ``squares`` (samples, M) over samples.

    ``squares`` are squared deviations from a mean. For each mode, the effective number is the number of samples divided
    by the kurtosis of the deviations. The smallest effective number of all modes is returned.
    """
    tiny, largest = np.finfo(float).tiny, squares.max(axis=0)
    share = squares / np.maximum(largest, tiny)
    number = share.sum(axis=0) ** 2 / np.maximum((share**2).sum(axis=0), tiny)
    return float(number.min(where=largest > 0, initial=len(squares)))
