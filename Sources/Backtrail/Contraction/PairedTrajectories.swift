import Foundation
import Replay
import Runs
import Tensors

/// The growth of small perturbations along a path: trajectories that start close to each other are moved by the same batches, and after
/// every few updates each perturbed one is set back to its first distance from the unperturbed one, along the line between them (Benettin,
/// Galgani, Strelcyn 1976). What the distances grew by in between adds up to the largest Lyapunov exponent.
///
/// The distance is that of a state's first floats, its parameters and buffers. Rounding moves each of these by a part in 2²⁵ an update,
/// so that a perturbation must be some thousand times larger than that, times the norm of the state. It need not be infinitely small:
/// between states at the distance of an update, say, the growth of that distance is what counts (Aurell et al. 1997), and a network with
/// kinks, whose gradient jumps, has another one at each distance.
package struct PairedTrajectories<Map: UpdateMap>: Sendable {
  let map: Map
  /// The batches of the path.
  let sequence: BatchSequence
  let initial: StoredState
  /// The states that give the directions: each perturbation begins on the way from the initial state to one of these.
  let directions: [StoredState]
  /// The distance that perturbations are set back to.
  let size: Double
  /// How many of a state's first floats the distance is over.
  let length: Int
  /// The positions before which perturbations are set back, ascending, from 0 to the length of the path.
  let stops: [Int]
  /// The stops, 0 among them, at which `functionDistance` is measured, ascending.
  let functionStops: [Int]
  /// The distance of what two states predict.
  let functionDistance: @Sendable (borrowing StateBuffer, borrowing StateBuffer, inout Map.Workspace) throws -> Double

  package init(
    map: Map, sequence: BatchSequence, initial: StoredState, directions: [StoredState], size: Double, length: Int, stops: [Int],
    functionStops: [Int],
    functionDistance: @escaping @Sendable (borrowing StateBuffer, borrowing StateBuffer, inout Map.Workspace) throws -> Double
  ) {
    self.map = map
    self.sequence = sequence
    self.initial = initial
    self.directions = directions
    self.size = size
    self.length = length
    self.stops = stops
    self.functionStops = functionStops
    self.functionDistance = functionDistance
  }

  /// What perturbations grew by: [direction][stop].
  package struct Growth {
    /// ln of what each direction's distance grew by between neighbouring stops.
    package var logarithms: [[Double]]
    /// ln of the function distance per distance at each of the function stops.
    package var visibilities: [[Double]]
  }

  /// - Throws: `RunError.impossible` where a direction has no length, or the distance is no number any more or 0.
  package func growth(progress: ReplayProgress) throws -> Growth {
    var executor = try BatchRunExecutor(for: map, progress: progress)
    var reference = TrainingState(values: try map.makeState())
    try initial.copy(to: &reference)
    var perturbed = TrainingState(values: try map.makeState())
    // Distances as they are after rounding, which is what the next growth is measured from.
    var distances: [Double] = []
    let trajectories = try directions.map { direction in
      try direction.copy(to: &perturbed)
      // Slots in codes, which are no numbers, are those of the initial state.
      perturbed.updateCount = reference.updateCount
      distances.append(try setBack(&perturbed, to: reference))
      let trajectory = try StoredState(for: map)
      try trajectory.copy(from: perturbed)
      return trajectory
    }
    var growth = Growth(logarithms: directions.map { _ in [] }, visibilities: directions.map { _ in [] })
    for (index, trajectory) in trajectories.enumerated() {
      try trajectory.copy(to: &perturbed)
      growth.visibilities[index].append(
        log(try functionDistance(perturbed.values, reference.values, &executor.workspace) / distances[index]))
    }
    for (first, last) in zip(stops, stops.dropFirst()) {
      for (index, trajectory) in trajectories.enumerated() {
        try trajectory.copy(to: &perturbed)
        for run in sequence.runs(in: first..<last) { try executor.apply(run, of: map, to: &perturbed) }
        try trajectory.copy(from: perturbed)
        // The reference moves once, with the first.
        if index == 0 { for run in sequence.runs(in: first..<last) { try executor.apply(run, of: map, to: &reference) } }
        let distance = try perturbed.values.distance(to: reference.values, first: length)
        guard distance.isFinite, distance > 0 else {
          throw RunError.impossible(
            """
            a perturbation of \(size) is \(distance) after update \(last): \
            \(distance == 0 ? "rounding has removed it; try a larger `size`" : "the updates diverge, and so have no exponent")
            """)
        }
        growth.logarithms[index].append(log(distance / distances[index]))
        if functionStops.contains(last) {
          growth.visibilities[index].append(
            log(try functionDistance(perturbed.values, reference.values, &executor.workspace) / distance))
        }
        distances[index] = try setBack(&perturbed, to: reference)
        try trajectory.copy(from: perturbed)
      }
    }
    return growth
  }

  /// Moves a state along the line to `reference` until its distance is `size`.
  /// - Returns: The distance after rounding.
  private func setBack(_ state: inout TrainingState, to reference: borrowing TrainingState) throws -> Double {
    let distance = try state.values.distance(to: reference.values, first: length)
    guard distance.isFinite, distance > 0 else {
      throw RunError.impossible("a direction of perturbations has the length \(distance): the update it comes from changes nothing")
    }
    try state.values.move(toward: reference.values, by: Float(1 - size / distance), first: min(map.numberCount, map.stateCount))
    return try state.values.distance(to: reference.values, first: length)
  }
}
