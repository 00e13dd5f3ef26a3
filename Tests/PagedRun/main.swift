// Trains a run whose states wait in files, or goes on with it: `PagedRun FOLDER PAGES`, where PAGES is the folder of the files. Used
// by the tests of faults and kills.
import Formats
import Foundation
import Replay
import Runs
import Tensors
import TestSupport

let (path, pages) = (CommandLine.arguments[1], CommandLine.arguments[2])
do {
  let problem = Ripple(lengths: [40_001, 17, 20_000], folder: pages)
  let run: Run<Ripple>
  do {
    run = try .create(
      at: path, problem, orders: [.forward, .backward, .tail(2)], steps: 8, observing: .every(2), averages: [.uniform],
      budgets: Budgets(lanes: 1, checkpoints: CheckpointPolicy(every: 2, chainLength: 2)))
  } catch StorageError.exists { run = try .open(path, problem) }
  for try await observation in run.train() { print("\(observation.series) \(observation.n) \(observation.digest)") }
} catch {
  FileHandle.standardError.write(Data("\(type(of: error)): \(error)\n".utf8))
  // As the command ends: everything else is a mistake.
  switch error {
  case is PagingError, StorageError.failed: exit(74)
  default: exit(1)
  }
}
