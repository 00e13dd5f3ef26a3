// Importing `Backtrail` imports the whole library: problems and runs, networks, data, orders and plans.
@_exported import Datasets
@_exported import Formats
@_exported import Networks
@_exported import Replay
@_exported import Runs
@_exported import Tensors
