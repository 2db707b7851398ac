"""Apache Beam pipelines, and the kernels that they run. Only the modules directly in this folder import Beam."""
