"""START: k-means on iris, from the start of Python to the fitted model."""
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris

KMeans(3, n_init=1, random_state=0).fit(load_iris().data.astype(np.float32))
