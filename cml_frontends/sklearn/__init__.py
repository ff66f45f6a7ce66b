"""scikit-learn's estimators, and those of XGBoost and LightGBM, on encrypted data.

    from cml_frontends.sklearn import LogisticRegression

    model = LogisticRegression(n_bits=4)
    model.fit(X_train, y_train)
    model.compile(X_train)
    y = model.predict(X_test, fhe="execute")

Estimators have the names and parameters of the originals, which they extend. Each class is made
when it is first asked for; only then is the library that it comes from imported.
"""

from __future__ import annotations

from cml_core.lazy import names_of

__getattr__, __dir__ = names_of(__name__, "cml_frontends.sklearn.api")
