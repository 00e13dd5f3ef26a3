extension ModelFamily {
  /// LeNet-5 with ReLU and max pools (LeCun, Bottou, Bengio, Haffner 1998; the pools and activations are today's).
  static let leNet = ModelFamily(name: "lenet", form: "lenet") { options in
    guard options == nil else { return nil }
    return (nil, { inputShape, outputs throws(NetworkError) in
      guard inputShape.count == 3, min(inputShape[0], inputShape[1]) >= 12 else {
        throw .shape("lenet needs images of at least 12 × 12 pixels, not examples of shape \(inputShape)")
      }
      // The original saw 28 × 28 digits in the middle of 32 × 32 images.
      let padding = min(inputShape[0], inputShape[1]) < 32 ? 2 : 0
      return [
        Convolution(6, size: 5, padding: padding).named("conv1"), ReLU().named("relu1"), MaxPooling(2).named("pool1"),
        Convolution(16, size: 5).named("conv2"), ReLU().named("relu2"), MaxPooling(2).named("pool2"),
        Dense(120).named("fc1"), ReLU().named("relu3"), Dense(84).named("fc2"), ReLU().named("relu4"),
        Dense(outputs).named("fc3"),
      ]
    })
  }
}
