import Replay

/// Measured seconds of an update and of an observation on one lane.
struct TrialRates {
  let secondsPerUpdate: Double
  let secondsPerObservation: Double

  init(_ experiment: Experiment) throws {
    let map = experiment.maps[0]
    var state = try experiment.initialState(replica: 0)
    var workspace = try map.makeWorkspace()
    let clock = ContinuousClock()
    let last = map.sampler.batchCount ?? .max
    var updates = 0

    /// Updates for `seconds`, and at least two; their mean time.
    func update(for seconds: Double) -> Double {
      let begin = clock.now
      let before = updates
      repeat {
        map.apply(batch: updates % last + 1, position: updates, to: &state.values, workspace: &workspace)
        updates += 1
      } while updates - before < 2 || clock.now - begin < .seconds(seconds)
      return (clock.now - begin) / .seconds(1) / Double(updates - before)
    }

    // The first updates also pay for touching memory.
    _ = update(for: 0.05)
    secondsPerUpdate = update(for: 0.5)
    _ = map.evaluate(state.values, workspace: &workspace)
    let begin = clock.now
    _ = map.evaluate(state.values, workspace: &workspace)
    secondsPerObservation = (clock.now - begin) / .seconds(1)
  }
}
