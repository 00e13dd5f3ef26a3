// Walks a path of 1000 updates backwards with room for 8 states, once for a stored run and once for a gradient through training.
import Backtrail

/// A line a + bx through points of 3 − 2x by SGD, one point a batch.
struct Line: UpdateMap, TrainingProblem {
  let stateCount = 2
  let metrics = [Metric("squaredError")]
  var learningRate: Float = 0.01

  func writeInitialState(seed: Int, to state: inout StateBuffer) {}

  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    let (x, error) = residual(batch, state)
    state[0] -= learningRate * error
    state[1] -= learningRate * error * x
  }

  func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] { [distance(state.values)] }

  /// A batch's x, and how far the line is above the point there.
  func residual(_ batch: Int, _ state: borrowing StateBuffer) -> (x: Float, error: Float) {
    let x = Float(RandomSource(seed: 0, purpose: .synthesis).uniform(batch: batch))
    return (x, state[0] + state[1] * x - (3 - 2 * x))
  }

  /// The squared distance to the line that is looked for.
  func distance(_ state: borrowing StateBuffer) -> Double {
    let (a, b) = (Double(state[0]) - 3, Double(state[1]) + 2)
    return a * a + b * b
  }
}

// A stored run first: every state on the way to backward's iterate 1000, last first.
let folder = CommandLine.arguments.dropFirst().first ?? "runs/rewind"
let run: Run<Line>
do {
  run = try .create(at: folder, Line(), orders: [.backward], steps: 1000, observing: .at([1000]))
} catch StorageError.exists {
  run = try .open(folder, Line())
}
try await run.finish()
let rewound = try run.rewind(order: .backward, n: 1000, seed: 0, slots: RewindSlots(memory: 8)) { state in
  if state.n % 200 == 0 { print("after \(state.n) updates, \(state.distance) from the iterate; next was batch \(state.batch)") }
  return false
}
print("\(rewound.from) states visited with \(rewound.updates) updates and \(rewound.slots) slots")

/// The derivative of the squared distance after `n` updates of an order by the learning rate, back through all of them.
func gradientByLearningRate(of line: Line, _ order: CompositionOrder, _ n: Int) throws -> Double {
  let initial = StoredState(TrainingState(values: try StateBuffer(count: line.stateCount)))
  let schedule = try RewindSchedule.fewestUpdates(visiting: 0..<n, memorySlots: 8)
  let sequence = order.sequence(n)
  var rewinder = try Rewinder(line, along: sequence, from: initial, schedule: schedule)
  var end = TrainingState(values: try StateBuffer(count: line.stateCount))
  // How the distance changes with the state at hand, and with the learning rate.
  var (a, b, gradient) = (0.0, 0.0, 0.0)
  while let position = try rewinder.next() {
    if position == n - 1 {
      try rewinder.writeSuccessor(to: &end)
      (a, b) = (2 * (Double(end.values[0]) - 3), 2 * (Double(end.values[1]) + 2))
    }
    let (x, error) = line.residual(sequence[position], rewinder.state.values)
    let along = a + b * Double(x)
    gradient -= along * Double(error)
    a -= Double(line.learningRate) * along
    b -= Double(line.learningRate) * along * Double(x)
  }
  return gradient
}

/// The squared distance after `n` updates.
func distance(of line: Line, _ order: CompositionOrder, _ n: Int) throws -> Double {
  let sequence = order.sequence(n)
  var state = try StateBuffer(count: line.stateCount)
  var workspace: Void = ()
  for position in 0..<n { line.apply(batch: sequence[position], position: position, to: &state, workspace: &workspace) }
  return line.distance(state)
}

let gradient = try gradientByLearningRate(of: Line(), .backward, 1000)
let (above, below) = (Line(learningRate: 0.0101), Line(learningRate: 0.0099))
let change = try distance(of: above, .backward, 1000) - distance(of: below, .backward, 1000)
let difference = change / Double(above.learningRate - below.learningRate)
print("the distance changes by \(gradient) for the learning rate; a difference of two runs says \(difference)")
