"""Quadrature rules on [0, 1]: nodes and weights, nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tf_ganmex.errors import OptionError


def right(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """α = 1/n, 2/n, ..., 1: the right Riemann sum of DeepExplain, the code that the paper used."""
    return np.arange(1, steps + 1) / steps, np.full(steps, 1 / steps)


def midpoint(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """α = 1/2n, 3/2n, ...: the midpoint rule."""
    return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)


def trapezoid(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """α = 0, 1/(n−1), ..., 1 with half weights at the ends: the trapezoidal rule on n nodes, n ≥ 2."""
    if steps < 2:
        raise OptionError(f"Expected at least 2 steps for rule='trapezoid'. Received: steps={steps}.")
    weights = np.full(steps, 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weights


def gauss_legendre(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre quadrature on n nodes: exact for polynomials up to degree 2n − 1."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2


RULES: dict[str, Callable[[int], tuple[np.ndarray, np.ndarray]]] = {
    "right": right,
    "midpoint": midpoint,
    "trapezoid": trapezoid,
    "gauss-legendre": gauss_legendre,
}


def nodes_and_weights(rule: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (steps,) in [0, 1] and weights (steps,) that sum to one; OptionError for an unknown rule."""
    if rule not in RULES:
        raise OptionError(f"Expected rule to be one of {list(RULES)}. Received: rule={rule!r}.")
    return RULES[rule](steps)
