"""Random losses in the language of ``docs/losses.md``, most of them sensible and short, and models with them."""

import random

import dynamics as dyn

NAMES = ("beta", "mu")  # of numbers


class Sentences:
    """Draws well-formed parts of a loss, by their kind; ``used``: the names that stand in them, with values."""

    def __init__(self, seed: int):
        self.draw = random.Random(seed)
        self.used: dict[str, float] = {}

    def choose(self, **weights):
        """One of the methods, by weight, called."""
        return getattr(self, self.draw.choices(list(weights), list(weights.values()))[0])()

    def constant(self) -> str:
        """A number, or one by name."""
        if self.draw.random() < 0.3:
            name = self.draw.choice(NAMES)
            self.used.setdefault(name, round(self.draw.uniform(0.1, 1.0), 3))
            return name
        return self.draw.choice(["2", "0.5", "0.25", "3", "1.5"])

    # --- operators, and vectors

    def operator(self) -> str:
        """A function of W_P."""
        return self.choose(power=6, rational=2, function=1, extreme=1)

    def power(self) -> str:
        return self.draw.choice(["W_P", "W_P^0.5", "W_P^2", "W_P^-1", "W_P^1.5", "W_P^-0.5"])

    def rational(self) -> str:
        return self.draw.choice([f"(1 / ({self.constant()} + W_P))", f"(W_P + {self.constant()})", "(W_P - W_P^2)"])

    def function(self) -> str:
        return f"{self.draw.choice(['exp', 'log', 'tanh', 'sqrt'])}({self.draw.choice(['', '0.5 + '])}W_P)"

    def extreme(self) -> str:
        return f"{self.draw.choice(['min', 'max'])}(W_P, {self.constant()})"

    def vector(self) -> str:
        """One of the online or of the target branch."""
        return self.choose(name=8, stopped=5, acted=3, scaled=1, combined=1)

    def name(self) -> str:
        return self.draw.choice(["z1", "z2", "p", "p"])

    def stopped(self) -> str:
        return f"sg({self.draw.choice(['z2', 'z2', 'z2', 'z1', 'p'])})"

    def acted(self) -> str:
        return f"({self.operator()} * {self.draw.choice(['z1', 'z2', 'sg(z2)'])})"

    def scaled(self) -> str:
        return f"({self.constant()} * {self.vector()})"

    def combined(self) -> str:
        return f"({self.vector()} {self.draw.choice('+-')} {self.vector()})"

    def online(self) -> str:
        return self.draw.choice(["p", "p", "z1", f"({self.operator()} * z1)"])

    def target(self) -> str:
        return self.draw.choice(["sg(z2)", "sg(z2)", "z2", f"({self.operator()} * sg(z2))", "sg(p)"])

    # --- numbers

    def attraction(self) -> str:
        """Something that makes predictions like targets."""
        return self.choose(distance=3, product=1, cosine=3, other_powers=2, bell=1, logarithm=1, saturating=1)

    def distance(self) -> str:
        return f"|{self.online()} - {self.target()}|^2 / 2"

    def product(self) -> str:
        return f"-{self.online()} . {self.target()}"

    def cosine(self) -> str:
        a, b = self.online(), self.target()
        return f"-{a} . {b} / (|{a}| * |{b}|)"

    def other_powers(self) -> str:
        a, b = self.online(), self.target()
        q, r = self.draw.choice(["^0.5", "", "^1.5", "^2", "^3"]), self.draw.choice(["", "", "^0.5", "^2"])
        return (
            f"-{a} . {b} / sg(|{a}|{q} * |{b}|{r})"
            if self.draw.random() < 0.3
            else f"-{a} . {b} / (|{a}|{q} * |{b}|{r})"
        )

    def bell(self) -> str:
        return f"-exp(-|{self.online()} - {self.target()}|^2 / {self.draw.choice('24')})"

    def logarithm(self) -> str:
        return f"log(1 + |{self.online()} - {self.target()}|^2)"

    def saturating(self) -> str:
        return f"-tanh({self.online()} . {self.target()})"

    def brake(self) -> str:
        """Something that keeps representations small."""
        return self.choose(square=4, quartic=2, around_one=1, soft=1)

    def square(self) -> str:
        return f"{self.constant()} * |{self.vector()}|^2 / 4"

    def quartic(self) -> str:
        return f"|{self.online()}|^4 / 8"

    def around_one(self) -> str:
        return f"(|{self.online()}|^2 - 1)^2 / 8"

    def soft(self) -> str:
        return f"sqrt(1 + |{self.online()}|^2)"

    def anything(self) -> str:
        """Any expression, with no meaning in particular."""
        return self.choose(dots=3, norms=2, quotient=1, functions=1, product_of_numbers=1)

    def dots(self) -> str:
        return f"{self.vector()} . {self.vector()}"

    def norms(self) -> str:
        return f"|{self.vector()}|^{self.draw.choice(['1', '2', '3', '4', '0.5'])}"

    def quotient(self) -> str:
        return f"({self.dots()}) / |{self.vector()}|^{self.draw.choice('1123')}"

    def functions(self) -> str:
        return (
            f"{self.draw.choice(['exp', 'log', 'tanh', 'sqrt'])}({self.draw.choice(['', '1 + ', '-'])}{self.norms()})"
        )

    def product_of_numbers(self) -> str:
        return f"({self.dots()}) * ({self.draw.choice(['', 'sg'])}({self.dots()}))"

    def sentence(self) -> str:
        """A whole loss."""
        terms = [self.anything() if self.draw.random() < 0.15 else self.attraction()]
        if self.draw.random() < 0.5:
            terms.append(self.brake())
        if self.draw.random() < 0.15:
            terms.append(f"{self.constant()} * {self.anything()}")
        return " + ".join(terms)


def loss_of(seed: int) -> tuple[str, dict[str, float]]:
    """A sentence, and the numbers that it leaves open."""
    sentences = Sentences(seed)
    text = sentences.sentence()
    return text, {name: value for name, value in sentences.used.items() if name in text}


def options_of(seed: int) -> dict:
    """Options of the model: predictor, target, views, weight decay."""
    draw = random.Random(f"options {seed}")
    predictors = [
        dyn.ClosedForm(draw.choice([0.5, 1.0, 2.0]), draw.choice([0.0, 0.1])),
        dyn.NoPredictor(),
        dyn.Learned(draw.choice([0.5, 1.0, 2.0]), draw.choice([0.4, 1.0])),
    ]
    return {
        "predictor": draw.choices(predictors, [6, 1, 2])[0],
        "target": dyn.EMA(0.9) if draw.random() < 0.15 else dyn.Shared(),
        "symmetrised": draw.random() < 0.2,
        "noise": draw.choice([(0.0, 0.0), (0.3, 0.2), (0.0, 0.4)]),
        "weight_decay": draw.choice([0.0, 0.0, 0.05]),
    }


def checked(seed: int) -> dyn.Check:
    """Check one of them at all levels; raises ArgumentError where it is refused."""
    text, numbers = loss_of(seed)
    return dyn.check(dyn.Model(dyn.Loss.parse(text, **numbers), **options_of(seed)), progress=False)
