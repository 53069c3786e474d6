"""How much a batch of counts speaks against a null that contains a tolerance: the logarithms of e-values.

An e-value for a null H is a number S >= 0, made from a batch, with E[S] <= 1 wherever H is true, given all that was
known before the batch. Alternatives may be chosen from earlier batches, never from the one they are applied to; the
sizes of a batch (``n``) may be used freely, because they say nothing about its outcomes.

Every outcome is a number in [0, 1]; ``s`` is the sum of ``n`` of them. Fractional outcomes are allowed everywhere but
in the multinomial: u^x v^(1-x) <= x u + (1-x) v makes the e-value smaller than that of a coin of the same mean.

Proof, one sample. One event of mean p multiplies S by at most F(p) = p p1/p0 + (1-p)(1-p1)/(1-p0)
= 1 + (p-p0)(p1-p0)/(p0(1-p0)) in the mean, which is <= 1 where p and p1 lie on opposite sides of p0. Only the
conditional mean of each event enters: events need be neither independent nor alike.

Proof, two samples (outcomes independent given the past). Let (a0, b0) be the point of the convex null that minimises
J = na KL(a1|.) + nb KL(b1|.). With Fa(t) = t a1/a0 + (1-t)(1-a1)/(1-a0) and Fb likewise,
log E[S] <= g(ta, tb) = na log Fa(ta) + nb log Fb(tb). g is concave (the log of a linear function), it is 0 at
(a0, b0), and its gradient there is minus that of J. As (a0, b0) minimises J over a convex set, g has no direction of
ascent from there into the set, so g <= 0 on all of it. Where the events of a batch have different means, concavity
bounds E[S] by g at the average means: the null needs to hold only on average within the batch.
(Turner, Ly and Gruenwald, arXiv:2106.02693, for the point null; the projection carries it to convex ones.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_EDGE = 1e-9
"""Probabilities of a one-sample bet are kept this far from 0 and 1; it only ever widens the null."""
TINY = 1e-300
"""Stands for 0 inside a logarithm, so that an impossible outcome costs 690 nats an event instead of infinity."""


def shift_logit(p: ArrayLike, shift: ArrayLike) -> Array:
    """Probabilities moved along the logit scale: ``sigmoid(logit(p) + shift)``.

    Parameters
    ----------
    p
        Probabilities in [0, 1]; 0 and 1 stay where they are.
    shift
        Logits, any sign, below 700 in size; broadcast against ``p``.
    """
    p = np.asarray(p, dtype=np.float64)
    moved: Array = p / (p + (1.0 - p) * np.exp(-np.asarray(shift, dtype=np.float64)))
    return moved


def log_e_one_sample(s: ArrayLike, n: ArrayLike, p0: ArrayLike, p1: ArrayLike) -> Array:
    """Log e-value of the bet ``p1`` against a mean that does not pass ``p0``.

    The null is "mean <= p0" where ``p1 > p0``, "mean >= p0" where ``p1 < p0``; ``p1 == p0`` does not bet and gives 0.

    Parameters
    ----------
    s, n
        Sum and number of the outcomes, ``0 <= s <= n``; all four arguments broadcast.
    p0
        Edge of the null in [0, 1], its tolerance included.
    p1
        Alternative in [0, 1], known before the batch.

    Returns
    -------
    Array
        Nats, always finite. Near 0 and 1 both probabilities are clipped inwards, which makes the null larger.
    """
    edge = np.clip(np.asarray(p0, dtype=np.float64), _EDGE, 1.0 - _EDGE)
    bet = np.clip(np.asarray(p1, dtype=np.float64), _EDGE, 1.0 - _EDGE)
    return _log_ratio(s, n, bet, edge)


def log_e_two_sample(
    sa: ArrayLike,
    na: ArrayLike,
    sb: ArrayLike,
    nb: ArrayLike,
    a1: ArrayLike,
    b1: ArrayLike,
    a0: ArrayLike,
    b0: ArrayLike,
) -> Array:
    """Log e-value of the bet ``(a1, b1)`` against the null whose nearest point is ``(a0, b0)``.

    Parameters
    ----------
    sa, na, sb, nb
        Sums and numbers of outcomes of the two samples; all arguments broadcast.
    a1, b1
        Alternative rates in [0, 1], known before the batch.
    a0, b0
        What `project_ratio` or `project_difference` gives for exactly these ``a1``, ``b1``, ``na`` and ``nb``. Where
        the alternative lies inside the null the projection is the alternative itself, and the result is 0.

    Returns
    -------
    Array
        Nats, finite.
    """
    first = _log_ratio(sa, na, np.asarray(a1, dtype=np.float64), np.asarray(a0, dtype=np.float64))
    second = _log_ratio(sb, nb, np.asarray(b1, dtype=np.float64), np.asarray(b0, dtype=np.float64))
    return first + second


def project_ratio(a1: ArrayLike, b1: ArrayLike, na: ArrayLike, nb: ArrayLike, tau: ArrayLike) -> tuple[Array, Array]:
    """Nearest point of the null ``b >= tau * a`` to ``(a1, b1)``, in Kullback-Leibler divergence weighted by sizes.

    On the boundary ``b = tau a`` the derivative of the divergence vanishes at a root of a quadratic: the constrained
    maximum-likelihood estimate of Farrington and Manning (1990), with expected in place of observed counts.

    Parameters
    ----------
    a1, b1
        Alternative rates in [0, 1]; all arguments broadcast.
    na, nb
        Numbers of events, >= 0.
    tau
        Ratio > 0, for instance 0.8 for the four-fifths rule.

    Returns
    -------
    tuple of Array
        ``(a0, b0)``; the alternative itself where it lies inside the null or where there are no events.
    """
    a1, b1, na, nb, tau = (np.asarray(x, dtype=np.float64) for x in (a1, b1, na, nb, tau))
    linear = na * (1.0 + tau * a1) + nb * (tau + b1)
    constant = na * a1 + nb * b1
    root = np.sqrt(np.maximum(linear * linear - 4.0 * tau * (na + nb) * constant, 0.0))
    bets = (b1 < tau * a1) & (linear > 0.0)
    a0 = 2.0 * constant / np.where(bets, linear + root, 1.0)
    return np.where(bets, a0, a1), np.where(bets, tau * a0, b1)


def project_difference(
    a1: ArrayLike, b1: ArrayLike, na: ArrayLike, nb: ArrayLike, eps: ArrayLike
) -> tuple[Array, Array]:
    """Nearest point of the null ``a - b <= eps`` to ``(a1, b1)``, in Kullback-Leibler divergence weighted by sizes.

    On the boundary ``b = a - eps`` the derivative vanishes at the middle one of three real roots of a cubic, which
    has a closed form; two Newton steps on the factored cubic take back the digits that the closed form loses where
    two roots are close.

    Parameters
    ----------
    a1, b1
        Alternative rates in [0, 1]; all arguments broadcast.
    na, nb
        Numbers of events, >= 0.
    eps
        Tolerated difference in (-1, 1); below 0: a must lie at least so far under b.

    Returns
    -------
    tuple of Array
        ``(a0, b0)``; the alternative itself where it lies inside the null or where there are no events.
    """
    a1, b1, na, nb, eps = (np.asarray(x, dtype=np.float64) for x in (a1, b1, na, nb, eps))
    bets = (a1 - b1 > eps) & (na + nb > 0.0)
    total = np.where(bets, na + nb, 1.0)
    wa, wb = np.where(bets, na / total, 0.5), np.where(bets, nb / total, 0.5)
    a0 = _between(_middle_root(a1, b1, wa, wb, eps), eps)
    for _ in range(2):
        a0 = _newton(a0, a1, b1, wa, wb, eps)
    return np.where(bets, a0, a1), np.where(bets, a0 - eps, b1)


def log_e_multinomial(counts: ArrayLike, p1: ArrayLike) -> Array:
    """Log e-value against "the k samples have the same distribution over the J categories".

    Two samples and two categories give the safe 2x2 test; the proof is the same, with the null's nearest point being
    the average of the alternatives weighted by size.

    Parameters
    ----------
    counts
        Shape (..., k, J), whole numbers >= 0.
    p1
        Alternative shares, same shape or broadcasting; each row sums to 1, known before the batch.

    Returns
    -------
    Array
        Nats, shape (...).
    """
    counts, p1 = np.asarray(counts, dtype=np.float64), np.asarray(p1, dtype=np.float64)
    sizes = counts.sum(axis=-1, keepdims=True)
    total = sizes.sum(axis=-2, keepdims=True)
    p0 = (sizes * p1).sum(axis=-2, keepdims=True) / np.maximum(total, 1.0)
    ratio = np.log(np.maximum(p1, TINY)) - np.log(np.maximum(p0, TINY))
    result: Array = (counts * ratio).sum(axis=(-2, -1))
    return result


def log_e_calibration(outcome: ArrayLike, score: ArrayLike, lam: ArrayLike, shift: ArrayLike) -> Array:
    """Log e-value of each event against "P(outcome = 1 | score) is the score, up to a shift of its logit".

    The null is "shift <= ``shift``" where ``lam > 0``, "shift >= -``shift``" where ``lam < 0``. The sum over the
    events of a cell and tick, one sum per ``lam``, is the batch's log e-value. It looks at outcomes given scores
    only, so a change in who is scored cannot move it.

    Proof: E[e^(lam y)] <= 1 + p (e^lam - 1), which is <= the divisor where p is on the null's side.

    Parameters
    ----------
    outcome
        In [0, 1]; all arguments broadcast, typically (events, 1) against (components,).
    score
        The model's probability in [0, 1], known before the outcome.
    lam
        Size and direction of the bet in nats per positive outcome, for instance 0.25, 0.5 or 1.
    shift
        Tolerance in logits, >= 0.

    Returns
    -------
    Array
        Nats per event.
    """
    outcome, lam = np.asarray(outcome, dtype=np.float64), np.asarray(lam, dtype=np.float64)
    edge = shift_logit(score, np.sign(lam) * np.asarray(shift, dtype=np.float64))
    result: Array = lam * outcome - np.log1p(edge * np.expm1(lam))
    return result


def _log_ratio(s: ArrayLike, n: ArrayLike, p1: Array, p0: Array) -> Array:
    """Log likelihood ratio of ``s`` successes in ``n``; the logarithms are taken in the (small) shape of p1 and p0."""
    s, n = np.asarray(s, dtype=np.float64), np.asarray(n, dtype=np.float64)
    success = np.log(np.maximum(p1, TINY) / np.maximum(p0, TINY))
    failure = np.log(np.maximum(1.0 - p1, TINY) / np.maximum(1.0 - p0, TINY))
    result: Array = s * (success - failure) + n * failure
    return result


def _middle_root(a1: Array, b1: Array, wa: Array, wb: Array, eps: Array) -> Array:
    """Middle root of the cubic in `_newton`, by the trigonometric formula; wa + wb = 1.

    The outer roots lie below ``eps`` (and 0) and above 1 (and ``1 + eps``), so ``p`` is never 0.
    """
    quadratic = -(wa * (1.0 + 2.0 * eps + a1) + wb * (1.0 + eps + b1))
    linear = wa * (eps * (1.0 + eps) + a1 * (1.0 + 2.0 * eps)) + wb * (eps + b1)
    constant = -wa * a1 * eps * (1.0 + eps)
    third = quadratic / 3.0
    q = third**3 - linear * quadratic / 6.0 + constant / 2.0
    p = np.copysign(np.sqrt(third * third - linear / 3.0), q)
    angle = np.arccos(np.clip(q / p**3, -1.0, 1.0))
    result: Array = 2.0 * p * np.cos((np.pi + angle) / 3.0) - third
    return result


def _newton(x: Array, a1: Array, b1: Array, wa: Array, wb: Array, eps: Array) -> Array:
    """One Newton step on wa (x-a1)(x-eps)(1-x+eps) + wb (x-eps-b1) x (1-x), kept where both rates are."""
    y = x - eps
    value = wa * (x - a1) * y * (1.0 - y) + wb * (y - b1) * x * (1.0 - x)
    slope = wa * (y * (1.0 - y) + (x - a1) * (1.0 - 2.0 * y)) + wb * (x * (1.0 - x) + (y - b1) * (1.0 - 2.0 * x))
    step = np.where(slope > 0.0, value / np.where(slope > 0.0, slope, 1.0), 0.0)
    return _between(x - step, eps)


def _between(a: Array, eps: Array) -> Array:
    """``a`` where it and ``a - eps`` are rates, else the nearest that is."""
    nearest: Array = np.clip(a, np.maximum(eps, 0.0), np.minimum(1.0 + eps, 1.0))
    return nearest
