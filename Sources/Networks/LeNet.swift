extension ModelFamily {
  /// LeNet-5 with ReLU and max pools (LeCun, Bottou, Bengio, Haffner 1998; the pools and activations are today's).
  static let leNet = ModelFamily(name: "lenet", form: "lenet") { options in
    guard options == nil else { return nil }
    return (nil, { inputShape, classCount throws(NetworkError) in
      guard inputShape.count == 3, min(inputShape[0], inputShape[1]) >= 12 else {
        throw .shape("lenet needs images of at least 12 × 12 pixels, not examples of shape \(inputShape)")
      }
      // The original saw 28 × 28 digits in the middle of 32 × 32 images.
      let padding = min(inputShape[0], inputShape[1]) < 32 ? 2 : 0
      return [
        ("conv1", Convolution(6, size: 5, padding: padding)), ("relu1", ReLU()), ("pool1", MaxPooling(2)),
        ("conv2", Convolution(16, size: 5)), ("relu2", ReLU()), ("pool2", MaxPooling(2)),
        ("fc1", Dense(120)), ("relu3", ReLU()), ("fc2", Dense(84)), ("relu4", ReLU()), ("fc3", Dense(classCount)),
      ]
    })
  }
}
